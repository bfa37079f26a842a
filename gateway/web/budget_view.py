"""A budget as its pages show it: how far it is used, how it burns down, who changed what."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from urllib.parse import quote

import sqlalchemy as sa

from cost.ledger import Budget, BudgetChange, BudgetStatus, CostFilter, cost_rows
from cost.money import FREE, Money
from gateway.web.addresses import address_of
from gateway.web.charts import Lines, burn_down
from gateway.web.formats import exact, moment
from gateway.wire.budgets import forecast

_MARK_WITHOUT_ALERTS = 80
"""Percent of the limit from which on a budget without alerts is shown as at risk."""


@dataclass(frozen=True, slots=True)
class BudgetView:
    """One budget in its present window.

    Attributes:
        state: calm, risk (an alert's mark is passed, or the forecast is over the limit) or spent (nothing more fits).
        percent: of the limit that is committed, rounded down.
        marks: where alerts are told, in percent.
        rows: where its calls are listed; by UTC days, so at a window's edges in other zones a few calls of the day besides.
    """

    status: BudgetStatus
    state: str
    percent: int
    marks: list[int]
    forecast: Money
    rows: str
    address: str

    @property
    def scope(self) -> str:
        """Whose calls count."""
        budget = self.status.budget
        return "everybody" if budget.scope == "global" else f"{budget.scope} {budget.scope_value}"

    @property
    def once(self) -> bool:
        """Whether it has one window for all time."""
        return self.status.budget.period == "lifetime"

    @property
    def period(self) -> str:
        """How often it begins anew."""
        budget = self.status.budget
        return "once" if self.once else f"a {budget.period} in {budget.timezone}"

    @property
    def began(self) -> str:
        """When its present window began, on the clocks of its own zone."""
        return moment(self.status.window.starts_at, self.status.budget.timezone)

    @property
    def resets(self) -> str:
        """When it begins anew, on the same."""
        return "never" if self.once else moment(self.status.window.ends_at, self.status.budget.timezone)


def view_of(status: BudgetStatus, now: datetime) -> BudgetView:
    """Everything but the drawing."""
    budget, ahead = status.budget, forecast(status, now)
    percent = status.committed.nanos * 100 // budget.limit.nanos if budget.limit else 100
    marks = [int(fraction * 100) for fraction in budget.alert_at]
    state = "calm"
    if status.remaining == FREE:
        state = "spent"
    elif percent >= min(marks, default=_MARK_WITHOUT_ALERTS) or ahead > budget.limit:
        state = "risk"
    rows = address_of("/costs/rows", _counted(status, now.date()))
    return BudgetView(status, state, percent, marks, ahead, rows, f"/budgets/{quote(budget.name)}")


def drawing_of(connection: sa.Connection, status: BudgetStatus, now: datetime) -> Lines | None:
    """What was left after each day, by UTC days; the last point is what is left now. None where the window is all time: it has no pace."""
    if status.budget.period == "lifetime":
        return None
    where = _counted(status, now.date())
    spent = {row.keys["day"]: row.cost + row.reserved + row.unknown for row in cost_rows(connection, where, ("day",))}
    days = list(_days(status.window.starts_at.date(), (status.window.ends_at - timedelta(microseconds=1)).date()))
    left, remaining = [], status.budget.limit
    for day in days:
        if day > now.date():
            break
        remaining = remaining - spent.get(day.isoformat(), FREE)
        left.append(max(FREE, remaining))
    left[-1:] = [status.remaining]
    return burn_down([day.isoformat() for day in days], left, status.budget.limit)


def changes_in_words(changes: list[BudgetChange]) -> list[tuple[BudgetChange, str]]:
    """Each change with what it changed, newest first."""
    before = [older if older.change != "ended" else None for _, older in pairwise(changes)] + [None]
    return [(change, _in_words(change, old)) for change, old in zip(changes, before, strict=True)]


def _in_words(change: BudgetChange, old: BudgetChange | None) -> str:
    if change.change == "ended":
        return "ended"
    new = _terms(change.terms)
    if change.change == "made" or old is None:
        return ", ".join(f"{name} {value}" for name, value in new.items())
    known = _terms(old.terms)
    return ", ".join(f"{name} {known[name]} → {value}" for name, value in new.items() if known[name] != value)


def _terms(budget: Budget) -> dict[str, str]:
    return {
        "limit": exact(budget.limit),
        "a": budget.period,
        "for": "everybody" if budget.scope == "global" else f"{budget.scope} {budget.scope_value}",
        "zone": budget.timezone,
        "when exhausted": budget.when_exhausted,
        "pacing": "on" if budget.pacing else "off",
        "alerts": " and ".join(f"{fraction * 100:f}".rstrip("0").rstrip(".") + " %" for fraction in budget.alert_at) or "none",
    }


def _counted(status: BudgetStatus, today: date) -> CostFilter:
    budget = status.budget
    first, value = status.window.starts_at.date(), budget.scope_value
    name, _, tag = value.partition(":")
    return CostFilter(
        first=first,
        last=max(first, today),
        provider=value if budget.scope == "provider" else None,
        client=value if budget.scope == "client" else None,
        tags={name: tag} if budget.scope == "tag" else {},
    )


def _days(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(days=number) for number in range((last - first).days + 1))
