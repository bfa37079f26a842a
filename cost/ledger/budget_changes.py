"""Who set which budget when, and to what: written with the change, in its transaction, and never edited."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, insert, select

from cost.ledger.book import Book
from cost.ledger.catalog import budget_of
from cost.ledger.schema import budget_changes
from cost.ledger.terms import Budget
from cost.ledger.times import from_us

Change = Literal["made", "changed", "ended"]

BY_CHARS_MAX = 128


@dataclass(frozen=True, slots=True)
class BudgetChange:
    """One change.

    Attributes:
        by: the name of the key that asked for it; "" for a program of the operator's.
        terms: the budget's from then on; of one that ended, its last.
    """

    at: datetime
    by: str
    change: Change
    terms: Budget


def note(book: Book, by: str, change: Change, budget: Budget) -> None:
    """Write a change down."""
    row = {
        "at_us": book.now_us,
        "by": by[:BY_CHARS_MAX],
        "change": change,
        "name": budget.name,
        "scope": budget.scope,
        "scope_value": budget.scope_value,
        "period": budget.period,
        "timezone": budget.timezone,
        "limit_nanos": budget.limit.nanos,
        "when_exhausted": budget.when_exhausted,
        "pacing": budget.pacing,
        "alert_at": ",".join(map(str, budget.alert_at)),
    }
    book.connection.execute(insert(budget_changes), row)


def changes_of(connection: Connection, name: str, limit: int = 100) -> list[BudgetChange]:
    """The latest changes of the budgets that had this name, newest first."""
    query = select(budget_changes).where(budget_changes.c.name == name).order_by(budget_changes.c.id.desc()).limit(limit)
    return [BudgetChange(from_us(row.at_us), row.by, row.change, budget_of(row)) for row in connection.execute(query)]
