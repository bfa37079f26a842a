"""The book: the rows that one batch of operations touches, read and locked at its beginning, written back at its end.

Between the two everything is arithmetic in memory, so that a batch costs the same few statements whatever its size, a refusal needs no
savepoint, and both databases run the same code. Locks are taken in one order everywhere - idempotency keys, attempts, new windows,
counters, windows, rollups; by key within each - so that no two batches of different processes wait for each other in a circle.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, func, insert, literal_column, select, tuple_, update

from cost.ledger.catalog import BudgetCatalog
from cost.ledger.idempotency import Claim, KeyRows, KeyStatements
from cost.ledger.journal import Chain
from cost.ledger.rollups import RollupChanges, RollupWriter
from cost.ledger.rows import AttemptRow, CounterRow, WindowRow
from cost.ledger.schema import (
    attempt_lines,
    attempt_windows,
    attempts,
    budget_windows,
    correction_windows,
    corrections,
    entries,
    unit_counters,
)
from cost.ledger.stores import Store
from cost.ledger.terms import Budget, Hold, IdempotencyKey
from cost.ledger.times import from_us
from cost.price_sheets import PriceBook, PriceSheet

CounterKey = tuple[str, str, str, str, str]
"""Provider, account, region, tier group, month."""


_REMEMBERED_MAX = 10_000

_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
_ATTEMPTS = select(attempts).where(attempts.c.id.in_(_IDS)).order_by(attempts.c.id).with_for_update(key_share=True)
_ATTEMPT_COLUMNS = [column.name for column in attempts.c]
_LINE_COLUMNS = [column.name for column in attempt_lines.c]
_LINES = select(attempt_lines).where(attempt_lines.c.attempt_id.in_(_IDS)).order_by(attempt_lines.c.attempt_id, attempt_lines.c.line)
_LINKS = select(attempt_windows.c.attempt_id, attempt_windows.c.window_id).where(attempt_windows.c.attempt_id.in_(_IDS))
_COUNTER_KEY = (
    unit_counters.c.provider,
    unit_counters.c.account,
    unit_counters.c.region,
    unit_counters.c.tier_group,
    unit_counters.c.month,
)
_COUNTER_IDS = select(unit_counters.c.id, *_COUNTER_KEY).where(tuple_(*_COUNTER_KEY).in_(bindparam("keys", expanding=True)))
_COUNTERS = (
    select(unit_counters.c.id, unit_counters.c.units)
    .where(unit_counters.c.id.in_(_IDS))
    .order_by(unit_counters.c.id)
    .with_for_update(key_share=True)
)
_WINDOWS = (
    select(
        budget_windows.c.id,
        budget_windows.c.starts_at_us,
        budget_windows.c.ends_at_us,
        budget_windows.c.limit_nanos,
        budget_windows.c.settled_nanos,
        budget_windows.c.reserved_nanos,
        budget_windows.c.unknown_nanos,
        budget_windows.c.excess_nanos,
    )
    .where(budget_windows.c.id.in_(_IDS))
    .order_by(budget_windows.c.id)
    .with_for_update(key_share=True)
)
_COMMITTED_BY_REQUEST = (
    select(attempts.c.request_id, func.sum(func.coalesce(attempts.c.cost_nanos, attempts.c.price_nanos)).label("nanos"))
    .where(attempts.c.request_id.in_(_IDS), attempts.c.state != literal_column("'released'"))
    .group_by(attempts.c.request_id)
)
_ATTEMPT_END = ("state", "cost_nanos", "outcome", "provider_request_id", "ended_at_us")
_UPDATE_ATTEMPT = update(attempts).where(attempts.c.id == bindparam("key")).values({name: bindparam(name) for name in _ATTEMPT_END})
_UPDATE_COUNTER = update(unit_counters).where(unit_counters.c.id == bindparam("key")).values(units=bindparam("units"))
_WINDOW_SUMS = ("settled_nanos", "reserved_nanos", "unknown_nanos", "excess_nanos")
_UPDATE_WINDOW = (
    update(budget_windows).where(budget_windows.c.id == bindparam("key")).values({name: bindparam(name) for name in _WINDOW_SUMS})
)
_INSERT_ATTEMPT, _INSERT_LINE, _INSERT_LINK = insert(attempts), insert(attempt_lines), insert(attempt_windows)
_INSERT_ENTRY, _INSERT_CORRECTION, _INSERT_CORRECTION_LINK = insert(entries), insert(corrections), insert(correction_windows)


class BookKeeper:
    """Opens books: what stays the same from batch to batch."""

    def __init__(self, store: Store, prices: PriceBook) -> None:
        self.prices = prices
        self.prepared = store.prepared
        self.catalog = BudgetCatalog(store)
        self.rollup_writer = RollupWriter(store)
        self.key_statements = KeyStatements(store)
        self.insert_counter = store.insert_new(unit_counters)
        self.counter_ids: dict[CounterKey, int] = {}
        self.open_attempts: dict[str, AttemptRow] = {}

    def remember(self, attempt: AttemptRow) -> None:
        """Its lines and windows never change (but by a new budget), so its end need not read them again."""
        if len(self.open_attempts) >= _REMEMBERED_MAX:
            self.open_attempts.clear()
        self.open_attempts[attempt.row["id"]] = attempt

    def forget(self) -> None:
        """A batch was rolled back: ids of rows that it made are not ids any more."""
        self.catalog.forget()
        self.counter_ids.clear()
        self.open_attempts.clear()


class Book:
    """See the module. `connection` is inside the batch's transaction."""

    def __init__(self, keeper: BookKeeper, connection: Connection, now_us: int, chain: Chain) -> None:
        self._keeper = keeper
        self.connection = connection
        self.now_us = now_us
        self.chain = chain
        self.rollups = RollupChanges()
        self.keys = KeyRows(keeper.key_statements)
        self.attempts: dict[str, AttemptRow] = {}
        self.windows: dict[int, WindowRow] = {}
        self.counters: dict[int, CounterRow] = {}
        self.budgets_by_attempt: dict[str, dict[int, Budget]] = {}
        self.committed_by_request: dict[str, int] = {}
        self._corrections: list[tuple[dict[str, Any], list[int]]] = []

    @property
    def prices(self) -> PriceBook:
        """The deployment's price sheets."""
        return self._keeper.prices

    def read(
        self,
        holds: Sequence[Hold] = (),
        attempt_ids: Iterable[str] = (),
        released_ids: Iterable[str] = (),
        claims: Sequence[Claim] = (),
        keys: Sequence[IdempotencyKey] = (),
    ) -> None:
        """Lock and read what these holds, attempts and idempotency keys touch; counters of an attempt only where it is released."""
        keeper, connection = self._keeper, self.connection
        self.keys.read(connection, claims, keys)
        if keeper.catalog.refresh(connection):
            keeper.open_attempts.clear()
        self._read_attempts(sorted({*attempt_ids, *(hold.attempt_id for hold in holds)}))
        released = [self.attempts[id_] for id_ in released_ids if id_ in self.attempts]
        self.budgets_by_attempt = keeper.catalog.windows_of(connection, holds, self.now_us)
        self._find_counters(holds)
        counter_ids = {keeper.counter_ids[key] for hold in holds for key in self._counter_keys(hold)}
        counter_ids |= {line["counter_id"] for attempt in released for line in attempt.lines}
        if counter_ids:
            self.counters = {row[0]: CounterRow(*row) for row in self._rows_in(_COUNTERS, sorted(counter_ids))}
        window_ids = {window_id for found in self.budgets_by_attempt.values() for window_id in found}
        self.read_windows(window_ids.union(*(attempt.window_ids for attempt in self.attempts.values())))
        requests = {hold.request_id for hold in holds if hold.max_cost is not None}
        if requests:
            self.committed_by_request = {request: int(nanos) for request, nanos in self._rows_in(_COMMITTED_BY_REQUEST, sorted(requests))}

    def windows_now(self, provider: str) -> list[int]:
        """The ids of the open windows of budgets for everyone and for a provider; read and locked."""
        catalog = self._keeper.catalog
        catalog.refresh(self.connection)
        ids = catalog.window_ids(self.connection, catalog.applying_to(provider, "", {}), self.now_us)
        self.read_windows(ids.values())
        return list(ids.values())

    def read_windows(self, window_ids: Iterable[int]) -> None:
        """Lock and read windows by their ids."""
        ids = sorted(set(window_ids) - self.windows.keys())
        if ids:
            self.windows |= {row[0]: WindowRow(*row) for row in self._rows_in(_WINDOWS, ids)}

    def _read_attempts(self, ids: list[str]) -> None:
        if not ids:
            return
        rows = [dict(zip(_ATTEMPT_COLUMNS, row, strict=True)) for row in self._rows_in(_ATTEMPTS, ids)]
        self.attempts = {row["id"]: AttemptRow(row) for row in rows}
        unknown_here = []
        for id_, attempt in self.attempts.items():
            remembered = self._keeper.open_attempts.pop(id_, None)
            if remembered is None:
                unknown_here.append(id_)
            else:
                attempt.lines, attempt.window_ids = remembered.lines, remembered.window_ids
        if unknown_here:
            for row in self._rows_in(_LINES, unknown_here):
                line = dict(zip(_LINE_COLUMNS, row, strict=True))
                self.attempts[line["attempt_id"]].lines.append(line)
            for attempt_id, window_id in self._rows_in(_LINKS, unknown_here):
                self.attempts[attempt_id].window_ids.append(window_id)

    def _rows_in(self, statement: Any, ids: Sequence[Any]) -> list[Any]:
        return self._keeper.prepared.rows_in(self.connection, statement, ids)

    def run(self, statement: Any, rows: list[dict[str, Any]]) -> None:
        """A statement, once for each row; rows of the same columns."""
        if rows:
            self._keeper.prepared.write(self.connection, statement, rows)

    def _find_counters(self, holds: Sequence[Hold]) -> None:
        keeper = self._keeper
        missing = sorted({key for hold in holds for key in self._counter_keys(hold)} - keeper.counter_ids.keys())
        if missing:
            names = [column.name for column in _COUNTER_KEY]
            self.connection.execute(keeper.insert_counter, [dict(zip(names, key, strict=True)) for key in missing])
            for row in self.connection.execute(_COUNTER_IDS, {"keys": missing}):
                keeper.counter_ids[tuple(row[1:])] = row.id

    def _counter_keys(self, hold: Hold) -> set[CounterKey]:
        sheet = self.prices.get(hold.provider)
        if sheet is None:
            return set()
        day = self.day_at(sheet)
        rows = (sheet.price_of(sku, day) for sku in hold.usage)
        return {self._counter_key(sheet, row.tier_group, day) for row in rows if row is not None}

    @staticmethod
    def _counter_key(sheet: PriceSheet, tier_group: str, day: date) -> CounterKey:
        return sheet.provider, sheet.account, sheet.region, tier_group, f"{day:%Y-%m}"

    def day_at(self, sheet: PriceSheet) -> date:
        """The provider's calendar day now."""
        return sheet.day_of(from_us(self.now_us))

    def counter(self, sheet: PriceSheet, tier_group: str) -> CounterRow:
        """The counter of a tier group in the provider's present month; of a hold that was read."""
        return self.counters[self._keeper.counter_ids[self._counter_key(sheet, tier_group, self.day_at(sheet))]]

    def add_attempt(self, attempt: AttemptRow) -> None:
        """A new one, to be written with its lines and links."""
        attempt.new = True
        self.attempts[attempt.row["id"]] = attempt
        self._keeper.remember(attempt)

    def add_correction(self, correction: Mapping[str, Any], window_ids: list[int]) -> None:
        """A new one, to be written with its links."""
        self._corrections.append((dict(correction), window_ids))

    def write(self) -> None:
        """Everything that changed, in the order of the locks."""
        self.keys.write(self.connection)
        new = [attempt for attempt in self.attempts.values() if attempt.new]
        self.run(_INSERT_ATTEMPT, [attempt.row for attempt in new])
        self.run(_INSERT_LINE, [line for attempt in new for line in attempt.lines])
        links = [{"attempt_id": attempt.row["id"], "window_id": id_} for attempt in new for id_ in attempt.window_ids]
        self.run(_INSERT_LINK, links)
        changed = [attempt.row for attempt in self.attempts.values() if attempt.changed and not attempt.new]
        self.run(_UPDATE_ATTEMPT, [{"key": row["id"], **{name: row[name] for name in _ATTEMPT_END}} for row in changed])
        self.run(_INSERT_CORRECTION, [correction for correction, _ in self._corrections])
        links = [{"correction_id": correction["id"], "window_id": id_} for correction, ids in self._corrections for id_ in ids]
        self.run(_INSERT_CORRECTION_LINK, links)
        counters = [counter for counter in self.counters.values() if counter.changed]
        self.run(_UPDATE_COUNTER, [{"key": counter.id, "units": counter.units} for counter in counters])
        windows = [window for window in self.windows.values() if window.changed]
        sums = [{"key": window.id, **{name: getattr(window, name) for name in _WINDOW_SUMS}} for window in windows]
        self.run(_UPDATE_WINDOW, sums)
        self._keeper.rollup_writer.write(self.connection, self.rollups)
        self.run(_INSERT_ENTRY, self.chain.added)
