"""What the ledger says, for Prometheus: read when somebody scrapes, at most every few seconds, and never waited for long."""

import logging
import threading
import time
from collections.abc import Callable, Mapping

from sqlalchemy.exc import SQLAlchemyError

from cost.ledger import BudgetStatus, CostRow, Ledger, LedgerUnavailable
from cost.money import Money
from gateway.monitoring.exposition import shown_gauges
from gateway.monitoring.numbers import Number, gauge
from gateway.reads import BoundedReads, ReadTimedOut

log = logging.getLogger(__name__)

_AGE_S_MAX = 5.0
"""Scraping is open to everybody: however often it is done, the database is asked no more often than that."""

_MONTH = "by provider, since the UTC month began"
SPEND = gauge("gateway_spend_usd", f"Settled, with corrections, {_MONTH}.", "provider", across="mostrecent")
HELD = gauge("gateway_held_usd", f"Held for calls that run, {_MONTH}.", "provider", across="mostrecent")
UNKNOWN = gauge("gateway_unknown_usd", f"May have been billed and counts as spent, {_MONTH}.", "provider", across="mostrecent")
IMPUTED = gauge("gateway_imputed_usd", f"What in-house answers cost; no invoice, {_MONTH}.", "provider", across="mostrecent")
AVOIDED = gauge("gateway_avoided_usd", f"What the cache and the in-house model saved, {_MONTH}.", "provider", across="mostrecent")
LIMIT = gauge("gateway_budget_limit_usd", "Limit of a budget's window.", "budget", across="mostrecent")
COMMITTED = gauge("gateway_budget_committed_usd", "Settled, held or unknown in a budget's present window.", "budget", across="mostrecent")
LEFT = gauge("gateway_budget_left_usd", "What may still be spent in a budget's present window.", "budget", across="mostrecent")
READ_AT = gauge("gateway_ledger_read_timestamp_seconds", "When the amounts were read, Unix time.", across="mostrecent")


class MoneyNumbers:
    """Keeps them up to date. While the database is away they stay as they were, in every process, and `READ_AT` tells their age."""

    def __init__(self, ledger: Ledger, reads: BoundedReads, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Read this ledger."""
        self._ledger = ledger
        self._reads = reads
        self._monotonic = monotonic
        self._read_again_at = 0.0
        self._reading = threading.Lock()

    def refresh(self) -> None:
        """Read again, unless that was done a moment ago or is being done."""
        if not self._reading.acquire(blocking=False):
            return
        try:
            if self._monotonic() >= self._read_again_at:
                self._read_again_at = self._monotonic() + _AGE_S_MAX
                self._tell(*self._reads.read(self._read))
        except (SQLAlchemyError, LedgerUnavailable, ReadTimedOut) as error:
            log.warning("metrics.ledger_not_read", extra={"error": type(error).__name__})
        finally:
            self._reading.release()

    def _read(self) -> tuple[list[CostRow], list[BudgetStatus]]:
        today = self._ledger.now().date()
        return self._ledger.costs(today.replace(day=1), today, ["provider"]), self._ledger.budgets()

    def _tell(self, rows: list[CostRow], budgets: list[BudgetStatus]) -> None:
        shown = shown_gauges()
        for number, amount in ((SPEND, "cost"), (HELD, "reserved"), (UNKNOWN, "unknown"), (IMPUTED, "imputed"), (AVOIDED, "avoided")):
            _tell_all(number, shown, {row.keys["provider"]: getattr(row, amount) for row in rows})
        _tell_all(LIMIT, shown, {one.budget.name: one.budget.limit for one in budgets})
        _tell_all(COMMITTED, shown, {one.budget.name: one.committed for one in budgets})
        _tell_all(LEFT, shown, {one.budget.name: one.remaining for one in budgets})
        READ_AT.set(time.time())


def _tell_all(number: Number, shown: Mapping[str, list[dict[str, str]]], amounts: Mapping[str, Money]) -> None:
    """Set each amount; what was told before, by whichever process, and is not there any more is forgotten: a budget that was deleted."""
    (label,) = number.labels
    for labels in shown.get(number.name, ()):
        if labels[label] not in amounts:
            number.forget(**{label: labels[label]})
    for name, money in amounts.items():
        number.set(money.nanos / 1e9, **{label: name})
