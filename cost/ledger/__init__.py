"""The ledger: the only truth about money. A paid call goes reserve -> call -> settle (or release, or unknown), and nothing is edited.

Where what happens:
    ledger       the face: every public function
    admission    reserve: may this call be made?
    settlement   settle, release, unknown: what became of it
    corrections  what was learned later
    book         the rows that a batch touches: locked, read, written back
    batches      one transaction;  writer: the thread that groups them
    budgets      put, delete, read;  budget_changes: who did;  catalog: which windows a call counts in
    idempotency  repeated requests;  flights: identical ones, of which one asks
    recovery     holds whose owner did not come back;  spool: settlements that wait for the database
    usage        answers that cost no money;  rollups: daily sums
    reports      what was spent, by any keys;  details: the rows behind a number;  filters, cursors: which rows, from where
    journal      the chain of hashes;  verify: checks it and every sum
    reconciliations  invoices against the ledger, and what is booked;  invoiced: the ledger's side
    schema       the tables;  stores: SQLite and PostgreSQL;  clock, times: what time it is
"""

from cost.ledger.alerts import Alert
from cost.ledger.budget_changes import BudgetChange
from cost.ledger.budgets import BadBudget
from cost.ledger.corrections import Correction
from cost.ledger.cursors import BadCursor
from cost.ledger.details import CostEntry, EntriesPage, all_entries, entries_page
from cost.ledger.errors import (
    AlreadyAnswered,
    BudgetExhausted,
    LedgerError,
    LedgerUnavailable,
    NotPriced,
    OverMaxCost,
    RequestMismatch,
    RequestRunning,
    Shortfall,
    UnknownAttempt,
)
from cost.ledger.filters import BadReport, CostFilter
from cost.ledger.ledger import Ledger
from cost.ledger.reports import CostRow, CostSums, cost_rows
from cost.ledger.terms import Budget, BudgetStatus, Hold, IdempotencyKey, Line, Reservation, SavedAnswer, UsageRow

__all__ = [
    "Alert",
    "AlreadyAnswered",
    "BadBudget",
    "BadCursor",
    "BadReport",
    "Budget",
    "BudgetChange",
    "BudgetExhausted",
    "BudgetStatus",
    "Correction",
    "CostEntry",
    "CostFilter",
    "CostRow",
    "CostSums",
    "EntriesPage",
    "Hold",
    "IdempotencyKey",
    "Ledger",
    "LedgerError",
    "LedgerUnavailable",
    "Line",
    "NotPriced",
    "OverMaxCost",
    "RequestMismatch",
    "RequestRunning",
    "Reservation",
    "SavedAnswer",
    "Shortfall",
    "UnknownAttempt",
    "UsageRow",
    "all_entries",
    "cost_rows",
    "entries_page",
]
