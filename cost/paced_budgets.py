"""The multipliers of all budgets with `pacing: true`, the same in every process: counted traffic and plans are in the database.

Every process counts the pictures that it leads; every few seconds whoever is first adds up, compares what was spent with what was aimed at,
and plans anew. The others read.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.dialects import postgresql, sqlite

from cost.database import write_transaction
from cost.ledger import Budget, BudgetStatus, Ledger
from cost.ledger.times import HOUR_US, SECOND_US, to_us
from cost.money import NANOS_PER_USD, Money
from cost.pacing import Pacer, Traffic
from cost.pacing_schema import paced_traffic, pacing_plans

PLAN_EVERY_S = 5.0
WEEK_H = 168
REMEMBERED_H = 4 * WEEK_H
_MONDAY_H = 4 * 24  # hours from 1970-01-01, a Thursday, to the first Monday
_MILLION = 1_000_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Multipliers:
    """Quality that a dollar must bring for one request.

    Attributes:
        all: whoever is paid.
        by_provider: where that provider's own budget asks for more.
    """

    all: float
    by_provider: Mapping[str, float]

    def of(self, provider: str) -> float:
        """For a call to this provider."""
        return self.by_provider.get(provider, self.all)


@dataclass(frozen=True, slots=True)
class Paced:
    """One budget with pacing, as of the last look.

    Attributes:
        multiplier: quality that a dollar must bring now.
        remaining: what may still be reserved in the window.
        aim_usd: what a picture is to cost.
    """

    budget: Budget
    multiplier: float
    remaining: Money
    aim_usd: float


class PacedBudgets:
    """One a process, shared by its threads. `multipliers` and `note` only read and write memory; `tick` asks the database."""

    def __init__(self, engine: Engine, ledger: Ledger, multiplier_for: Callable[[float], float], usual: float) -> None:
        """Pace the budgets of this ledger.

        Args:
            engine: with the tables.
            ledger: whose budgets.
            multiplier_for: which multiplier spends how many dollars a picture, as far as the policy in use knows.
            usual: the multiplier where no budget is paced: one over what a good answer is worth, in dollars.
        """
        self._engine = engine
        self._ledger = ledger
        self._multiplier_for = multiplier_for
        self._usual = usual
        self._upsert: Any = sqlite.insert if engine.dialect.name == "sqlite" else postgresql.insert
        self._counted: Counter[str] = Counter()
        self._guard = threading.Lock()
        self.now_paced: tuple[Paced, ...] = ()

    def multipliers(self, client: str, tags: Mapping[str, str]) -> Multipliers:
        """For one request. Of several budgets the one that asks most."""
        everybody = [p.multiplier for p in self.now_paced if p.budget.scope != "provider" and p.budget.binds(client, tags)]
        common = max(everybody, default=None)
        own = {p.budget.scope_value: p.multiplier for p in self.now_paced if p.budget.scope == "provider"}
        base = self._usual if common is None else common
        # A provider's own budget alone follows its own line; beside another paced budget the stricter one counts.
        return Multipliers(base, {name: m if common is None else max(m, common) for name, m in own.items()})

    def note(self, client: str, tags: Mapping[str, str]) -> None:
        """One picture came that these budgets may have to pay for."""
        paced = [p.budget.name for p in self.now_paced if p.budget.binds(client, tags)]
        if paced:
            with self._guard:
                self._counted.update(paced)

    def tick(self) -> None:
        """Add what was counted, and plan anew where that is due.

        Raises:
            sqlalchemy.exc.SQLAlchemyError, LedgerUnavailable: the database is away; multipliers stay.
        """
        statuses = [status for status in self._ledger.budgets() if status.budget.pacing and status.budget.period != "lifetime"]
        if not statuses:
            self.now_paced = ()
            return
        now = self._ledger.now()
        with self._guard:
            counted, self._counted = self._counted, Counter()
        try:
            with write_transaction(self._engine) as connection:
                self._add(connection, counted, to_us(now) // HOUR_US)
                before = {p.budget.name: p.budget for p in self.now_paced}
                changed = {s.budget.name for s in statuses if before.get(s.budget.name, s.budget) != s.budget}
                self.now_paced = tuple(self._plan(connection, s, now, anew=s.budget.name in changed) for s in statuses)
        except BaseException:
            with self._guard:
                self._counted += counted
            raise

    def _add(self, connection: Connection, counted: Mapping[str, int], hour: int) -> None:
        for name, pictures in counted.items():
            row = self._upsert(paced_traffic).values(budget=name, hour=hour, pictures=pictures)
            row = row.on_conflict_do_update(
                index_elements=["budget", "hour"], set_={"pictures": paced_traffic.c.pictures + row.excluded.pictures}
            )
            connection.execute(row)

    def _plan(self, connection: Connection, status: BudgetStatus, now: datetime, *, anew: bool) -> Paced:
        """This budget's plan: somebody's who made one just now, or, where that is older or the budget is another by now, a new one."""
        name, now_us, starts_us = status.budget.name, to_us(now), to_us(status.window.starts_at)
        old = connection.execute(select(pacing_plans).where(pacing_plans.c.budget == name)).one_or_none()
        same_window = old is not None and old.window_starts_at_us == starts_us
        if old is not None and same_window and not anew and 0 <= now_us - old.planned_at_us < PLAN_EVERY_S * SECOND_US:
            return Paced(status.budget, old.multiplier_millionths / _MILLION, status.remaining, old.aim_nanos / NANOS_PER_USD)
        total = int(connection.execute(select(func.sum(paced_traffic.c.pictures)).where(paced_traffic.c.budget == name)).scalar() or 0)
        pacer = Pacer(self._multiplier_for)
        if old is not None:
            pacer = Pacer(
                self._multiplier_for,
                lean=old.lean_millionths / _MILLION,
                aim_usd=old.aim_nanos / NANOS_PER_USD,
                multiplier=old.multiplier_millionths / _MILLION,
            )
            if same_window:
                pacer.spent(Money(max(status.committed.nanos - old.committed_nanos, 0)), max(total - old.pictures, 0))
        ends_hour = to_us(status.window.ends_at) / HOUR_US
        multiplier = pacer.plan(status.remaining, self._pictures_ahead(connection, name, now_us / HOUR_US, ends_hour))
        plan = {
            "planned_at_us": now_us,
            "window_starts_at_us": starts_us,
            "committed_nanos": status.committed.nanos,
            "pictures": total,
            "multiplier_millionths": round(multiplier * _MILLION),
            "lean_millionths": round(pacer.lean * _MILLION),
            "aim_nanos": round(pacer.aim_usd * NANOS_PER_USD),
        }
        row = self._upsert(pacing_plans).values(budget=name, **plan)
        connection.execute(row.on_conflict_do_update(index_elements=["budget"], set_=plan))
        connection.execute(paced_traffic.delete().where(paced_traffic.c.hour < now_us // HOUR_US - 2 * REMEMBERED_H))
        return Paced(status.budget, multiplier, status.remaining, pacer.aim_usd)

    @staticmethod
    def _pictures_ahead(connection: Connection, name: str, now_hour: float, ends_hour: float) -> float:
        """At the level of the last week, in the shape of the last four."""
        since = math.floor(now_hour) - REMEMBERED_H
        query = select(paced_traffic.c.hour, paced_traffic.c.pictures).where(paced_traffic.c.budget == name, paced_traffic.c.hour >= since)
        hours: dict[int, int] = {row.hour: row.pictures for row in connection.execute(query)}
        if not hours:
            return max(ends_hour - now_hour, 1.0)
        first = min(hours)
        seen_from = max(first, math.floor(now_hour) - WEEK_H)
        seen = sum(pictures for hour, pictures in hours.items() if hour >= seen_from)
        traffic = Traffic(hourly_shape(hours, first, math.floor(now_hour)))
        at, until, end = seen_from - _MONDAY_H, now_hour - _MONDAY_H, ends_hour - _MONDAY_H
        return traffic.ahead(max(seen, 1), at, max(until, at + 1 / 60), end)


def hourly_shape(hours: Mapping[int, int], first: int, now: int) -> tuple[float, ...]:
    """168 mean pictures an hour from Monday 00:00 UTC; all 1 until a whole week was seen.

    Args:
        hours: hour since 1970 -> pictures; hours without any are missing.
        first: the first hour that was counted.
        now: the hour that is running, which is not counted.
    """
    if now - first < WEEK_H:
        return (1.0,) * WEEK_H
    weeks = (now - first) // WEEK_H
    sums = [0.0] * WEEK_H
    for hour in range(now - weeks * WEEK_H, now):
        sums[(hour - _MONDAY_H) % WEEK_H] += hours.get(hour, 0)
    mean = sum(sums) / WEEK_H
    # A tenth of the mean everywhere: an hour that was quiet so far is not known to be quiet for ever.
    return tuple((s + 0.1 * mean) / weeks if mean else 1.0 for s in sums)
