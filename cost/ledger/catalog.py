"""The budgets in force and the rows of their present windows, remembered between batches."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from cost.ledger.schema import budget_windows, budgets, budgets_version
from cost.ledger.stores import Store
from cost.ledger.terms import Budget, Hold, alert_fractions
from cost.ledger.times import from_us, to_us
from cost.money import Money
from cost.windows import window_of

_VERSION = select(budgets_version.c.version)
_IN_FORCE = select(budgets).where(budgets.c.retired_at_us.is_(None)).order_by(budgets.c.id)
_WINDOW_ID = select(budget_windows.c.id).where(
    budget_windows.c.budget_id == bindparam("budget_id"), budget_windows.c.starts_at_us == bindparam("starts_at_us")
)


@dataclass(frozen=True, slots=True)
class KnownBudget:
    """A budget with its row's id."""

    id: int
    terms: Budget


@dataclass(frozen=True, slots=True)
class _KnownWindow:
    id: int
    starts_at_us: int
    ends_at_us: int


class BudgetCatalog:
    """Which windows a hold counts in. Not thread-safe: the writer thread's."""

    def __init__(self, store: Store) -> None:
        self._prepared = store.prepared
        self._insert_window = store.insert_new(budget_windows)
        self._version: int | None = None
        self._by_scope: dict[tuple[str, str], list[KnownBudget]] = {}
        self._windows: dict[int, _KnownWindow] = {}

    def forget(self) -> None:
        """A batch was rolled back, or the budgets have changed: read everything again."""
        self._version = None
        self._windows.clear()

    def refresh(self, connection: Connection) -> bool:
        """Notice changes that any process made; whether there were any."""
        version = self._prepared.rows(connection, _VERSION)[0][0]
        if version == self._version:
            return False
        by_scope = defaultdict(list)
        for row in connection.execute(_IN_FORCE):
            by_scope[row.scope, row.scope_value].append(KnownBudget(row.id, budget_of(row)))
        self._by_scope = dict(by_scope)
        self._windows.clear()
        self._version = version
        return True

    def applying_to(self, provider: str, client: str, tags: Mapping[str, str]) -> list[KnownBudget]:
        """The budgets that a call counts in, in order of their ids."""
        scopes = [("global", ""), ("provider", provider), ("client", client), *(("tag", f"{name}:{value}") for name, value in tags.items())]
        return sorted((budget for scope in scopes for budget in self._by_scope.get(scope, ())), key=lambda budget: budget.id)

    def windows_of(self, connection: Connection, holds: Sequence[Hold], now_us: int) -> dict[str, dict[int, Budget]]:
        """The windows that each hold counts in now: window id to budget, by attempt id. Opens those that are new."""
        applying = {hold.attempt_id: self.applying_to(hold.provider, hold.client, hold.tags) for hold in holds}
        ids = self.window_ids(connection, [budget for found in applying.values() for budget in found], now_us)
        return {attempt_id: {ids[budget.id]: budget.terms for budget in found} for attempt_id, found in applying.items()}

    def window_ids(self, connection: Connection, found: list[KnownBudget], now_us: int) -> dict[int, int]:
        """The present windows of budgets, window id by budget id. Opens those that are new, in one order."""
        by_id = {budget.id: budget for budget in found}
        return {budget_id: self._window_id(connection, by_id[budget_id], now_us) for budget_id in sorted(by_id)}

    def _window_id(self, connection: Connection, budget: KnownBudget, now_us: int) -> int:
        known = self._windows.get(budget.id)
        if known is None or not known.starts_at_us <= now_us < known.ends_at_us:
            known = self._windows[budget.id] = self._open_window(connection, budget, now_us)
        return known.id

    def _open_window(self, connection: Connection, budget: KnownBudget, now_us: int) -> _KnownWindow:
        window = window_of(budget.terms.period, budget.terms.timezone, from_us(now_us))
        row = {
            "budget_id": budget.id,
            "starts_at_us": to_us(window.starts_at),
            "ends_at_us": to_us(window.ends_at),
            "limit_nanos": budget.terms.limit.nanos,
        }
        connection.execute(self._insert_window, row)
        window_id = connection.execute(_WINDOW_ID, row).scalar_one()
        return _KnownWindow(window_id, row["starts_at_us"], row["ends_at_us"])


def budget_of(row: Row[Any]) -> Budget:
    """The terms in a row of `budgets`."""
    return Budget(
        name=row.name,
        scope=row.scope,
        scope_value=row.scope_value,
        period=row.period,
        timezone=row.timezone,
        limit=Money(row.limit_nanos),
        when_exhausted=row.when_exhausted,
        pacing=row.pacing,
        alert_at=alert_fractions(row.alert_at),
    )
