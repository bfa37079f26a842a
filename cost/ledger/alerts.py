"""Which budgets have reached a threshold: each threshold of each window is told once."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select, update
from sqlalchemy.sql.expression import Executable

from cost.ledger.book import Book
from cost.ledger.catalog import budget_of
from cost.ledger.schema import budget_alerts, budget_windows, budgets
from cost.ledger.terms import Budget
from cost.ledger.times import HOUR_US, from_us
from cost.money import Money


@dataclass(frozen=True, slots=True)
class Alert:
    """A budget's window that has reached a fraction of its limit.

    Attributes:
        committed: settled, reserved and unknown money when that was noticed.
        limit: the window's, now.
    """

    window_id: int
    budget: Budget
    threshold: Decimal
    starts_at: datetime
    resets_at: datetime
    limit: Money
    committed: Money
    noticed_at: datetime


_WATCHED = (
    select(
        budget_windows.c.id,
        budget_windows.c.limit_nanos,
        (budget_windows.c.settled_nanos + budget_windows.c.reserved_nanos + budget_windows.c.unknown_nanos).label("committed_nanos"),
        budgets.c.alert_at,
    )
    .join(budgets)
    .where(
        budgets.c.retired_at_us.is_(None),
        budgets.c.alert_at != "",
        budget_windows.c.limit_nanos > 0,
        budget_windows.c.starts_at_us <= bindparam("now_us"),
        # Also of a window that ended a moment ago: its last calls may have been the ones.
        budget_windows.c.ends_at_us > bindparam("now_us") - HOUR_US,
    )
)
_TAKE = (
    update(budget_alerts)
    .where(budget_alerts.c.delivered_at_us.is_(None), budget_alerts.c.claimed_until_us <= bindparam("now_us"))
    .values(claimed_until_us=bindparam("until_us"))
    .returning(budget_alerts.c.window_id, budget_alerts.c.threshold, budget_alerts.c.committed_nanos, budget_alerts.c.due_at_us)
)
_WINDOW = (
    select(budgets, budget_windows.c.starts_at_us, budget_windows.c.ends_at_us, budget_windows.c.limit_nanos.label("window_limit_nanos"))
    .select_from(budget_windows.join(budgets))
    .where(budget_windows.c.id == bindparam("window_id"))
)
_NOTICED = (
    select(
        budgets,
        budget_windows.c.starts_at_us,
        budget_windows.c.ends_at_us,
        budget_windows.c.limit_nanos.label("window_limit_nanos"),
        budget_alerts,
    )
    .select_from(budget_alerts.join(budget_windows).join(budgets))
    .where(budgets.c.name == bindparam("name"))
    .order_by(budget_alerts.c.due_at_us.desc(), budget_alerts.c.window_id, budget_alerts.c.threshold.desc())
    .limit(50)
)
_DELIVERED = (
    update(budget_alerts)
    .where(budget_alerts.c.window_id == bindparam("b_window_id"), budget_alerts.c.threshold == bindparam("b_threshold"))
    .values(delivered_at_us=bindparam("now_us"))
)


def claim(book: Book, insert_new: Executable, lease_us: int) -> list[Alert]:
    """Write down what has come due, and take what nobody has or has delivered."""
    now = {"now_us": book.now_us}
    noticed = {"due_at_us": book.now_us, "claimed_until_us": 0}
    due = [
        {"window_id": row.id, "threshold": threshold, "committed_nanos": row.committed_nanos, **noticed}
        for row in book.connection.execute(_WATCHED, now)
        for threshold in row.alert_at.split(",")
        if row.committed_nanos >= Decimal(threshold) * row.limit_nanos
    ]
    if due:
        book.connection.execute(insert_new, due)
    taken = book.connection.execute(_TAKE, {**now, "until_us": book.now_us + lease_us}).all()
    return [
        _alert(book.connection.execute(_WINDOW, {"window_id": row.window_id}).one(), row)
        for row in sorted(taken, key=lambda row: (row.window_id, Decimal(row.threshold)))
    ]


def noticed(connection: Connection, name: str) -> list[Alert]:
    """The latest of the budgets that had this name, newest first."""
    return [_alert(row, row) for row in connection.execute(_NOTICED, {"name": name})]


def delivered(book: Book, alert: Alert) -> None:
    """Never to be taken again."""
    book.connection.execute(_DELIVERED, {"b_window_id": alert.window_id, "b_threshold": str(alert.threshold), "now_us": book.now_us})


def _alert(window: Row[Any], row: Row[Any]) -> Alert:
    return Alert(
        window_id=row.window_id,
        budget=budget_of(window),
        threshold=Decimal(row.threshold),
        starts_at=from_us(window.starts_at_us),
        resets_at=from_us(window.ends_at_us),
        limit=Money(window.window_limit_nanos),
        committed=Money(row.committed_nanos),
        noticed_at=from_us(row.due_at_us),
    )
