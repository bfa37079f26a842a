"""The ledger: hold a call's exact price before it is made, and record what became of it."""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from datetime import date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select

from cost.ledger import alerts, budgets, reports
from cost.ledger.admission import Reserve
from cost.ledger.alerts import Alert
from cost.ledger.batches import BatchRunner, Crashpoint
from cost.ledger.book import BookKeeper
from cost.ledger.budget_changes import BudgetChange, changes_of
from cost.ledger.clock import LedgerClock, boot_id, elapsed_us
from cost.ledger.corrections import Correction, correct
from cost.ledger.errors import LedgerUnavailable
from cost.ledger.filters import CostFilter
from cost.ledger.flights import FlightDesk
from cost.ledger.idempotency import Claim
from cost.ledger.operations import Alone, ClaimKey, FreeKey, Operation, SaveAnswer
from cost.ledger.reconciliations import ReconciliationDesk
from cost.ledger.recovery import PAGE, sweep
from cost.ledger.schema import budget_alerts, unit_counters
from cost.ledger.settlement import Resolve
from cost.ledger.spool import Spool
from cost.ledger.stores import open_store
from cost.ledger.terms import Budget, BudgetStatus, Hold, IdempotencyKey, Reservation, SavedAnswer, UsageRow
from cost.ledger.times import duration_us, from_us, to_us
from cost.ledger.usage import UsageBuffer
from cost.ledger.writer import MaybeCommitted, Run, Writer
from cost.money import Money
from cost.price_sheets import NotRoutable, Position, PriceBook, Priced, position, price_call

SWEEP_EVERY_S = 5.0
TICK_S = 1.0
WAIT_S = 1.0
"""How long a caller waits, while nothing at all is committed, before the database counts as away."""

_BUSY_WAITS_MAX = 5
"""So many times that long at most where the writer is at work: a queue, a slow disk and a busy machine are no outage."""

_SILENCE_S_MIN = 0.25
"""Who gives up sooner than this says nothing about the database."""

log = logging.getLogger(__name__)


def _no_crash(_moment: str) -> None:
    """Nothing dies here."""


class Ledger:
    """One a process, made after the fork, shared by its threads; `close` it.

    Args:
        engine: from `cost.database.open_database`, with the tables of `gateway/migrations`.
        prices: the deployment's price sheets.
        spool: a local folder where settlements wait while the database is away.
        now: the wall clock; None: the database's. For tests.
        elapsed: microseconds since the machine started, the clock's witness. For tests.
        crashpoint: called at the moments where a process may die. For tests.
    """

    def __init__(
        self,
        engine: Engine,
        prices: PriceBook,
        *,
        spool: Path,
        now: Callable[[], datetime] | None = None,
        elapsed: Callable[[], int] = elapsed_us,
        crashpoint: Crashpoint = _no_crash,
        tick_s: float = TICK_S,
    ) -> None:
        store = open_store(engine)
        wall_us = store.wall_us if now is None else (lambda _connection: to_us(now()))
        self._engine = engine
        self._prices = prices
        self._clock = LedgerClock(store, wall_us, elapsed, boot_id())
        self._spool = Spool(spool)
        self._usage = UsageBuffer()
        self._alerts_insert = store.insert_new(budget_alerts)
        self._next_sweep_s = time.monotonic()
        self.flights = FlightDesk(engine, store, self._alone, self.now)
        self.reconciliations = ReconciliationDesk(engine, prices, self._alone)
        self._writer = Writer(BatchRunner(store, BookKeeper(store, prices), self._clock, crashpoint), self._do_chores, tick_s)

    # What happens to a call's money.

    def reserve(
        self, hold: Hold, *, key: IdempotencyKey | None = None, wait_s: float | None = None, within_s: float = math.inf
    ) -> Reservation:
        """Hold a call's exact price in every budget that applies. It is on disk at return: now the call may be made.

        Args:
            hold: the call.
            key: the request's idempotency key, checked (and claimed, if it is not yet) in the same transaction.
            wait_s: how long to wait for a database that commits nothing; None: `WAIT_S`.
            within_s: of what use a hold is to the caller, whatever the database does.

        Raises:
            BudgetExhausted, OverMaxCost, NotPriced: and nothing is held.
            RequestRunning, RequestMismatch, AlreadyAnswered: the key is another request's.
            LedgerUnavailable: the hold may or may not have been written; the call must not be made. A hold that was written is released.
        """
        if self.problem is not None:
            raise LedgerUnavailable(self.problem)
        claim = None if key is None else Claim(key, hold.request_id, hold.timeout_s)
        future = self._writer.submit(Reserve(hold, claim))
        try:
            reservation: Reservation = self._wait(future, wait_s, within_s)
        except MaybeCommitted:
            self._keep_for_later(Resolve(hold.attempt_id, "released", "reserve_in_doubt"))
            raise
        return reservation

    def settle(
        self,
        attempt_id: str,
        *,
        outcome: str = "answered",
        cost: Money | None = None,
        provider_request_id: str | None = None,
        wait_s: float | None = None,
    ) -> None:
        """Record that an attempt was billed. Does nothing for one that was settled or released before.

        Never fails: while the database is away it is kept on disk and replayed.

        Args:
            attempt_id: of the reservation.
            outcome: the word for what happened, up to 64 characters.
            cost: what was billed, where that is not the reserved price.
            provider_request_id: for the provider's support.
            wait_s: how long to wait for the database.
        """
        self._resolve(Resolve(attempt_id, "settled", outcome, provider_request_id, cost), wait_s)

    def release(self, attempt_id: str, *, outcome: str, provider_request_id: str | None = None, wait_s: float | None = None) -> None:
        """Give an attempt's money back: it was SURELY not billed. Otherwise as `settle`."""
        self._resolve(Resolve(attempt_id, "released", outcome, provider_request_id), wait_s)

    def unknown(self, attempt_id: str, *, outcome: str, provider_request_id: str | None = None, wait_s: float | None = None) -> None:
        """Say that an attempt may have been billed. It counts as spent until it is settled or released. Otherwise as `settle`."""
        self._resolve(Resolve(attempt_id, "unknown", outcome, provider_request_id), wait_s)

    def correct(self, correction: Correction) -> str:
        """Book an amount that was learned later; returns the correction's id.

        Raises:
            UnknownAttempt: it corrects an attempt that is not in the ledger.
            LedgerUnavailable: see there.
        """
        correction_id: str = self._alone(lambda book: correct(book, correction), durable=True)
        return correction_id

    def record_usage(self, row: UsageRow) -> None:
        """Note an answer that cost no money. Never waits; written within a second or so, and by `close`.

        Raises:
            ValueError: see `UsageRow.check`.
        """
        self._usage.add(self._clock.estimate_us(), row)

    # What a call would cost, and what may still be spent.

    def price(self, provider: str, usage: Mapping[str, int]) -> Priced | NotRoutable:
        """What a call would cost at this moment. The reservation has the last word."""
        sheet = self._prices.get(provider)
        if sheet is None:
            return NotRoutable("no price sheet")
        return price_call(sheet, usage, self.month_to_date_units(provider), sheet.day_of(self.now()))

    def month_to_date_units(self, provider: str) -> dict[str, int]:
        """Units by tier group in the provider's present month: settled, open and unknown ones."""
        sheet = self._prices.get(provider)
        if sheet is None:
            return {}
        table = unit_counters.c
        this_month = (table.provider == provider, table.account == sheet.account, table.region == sheet.region)
        query = select(table.tier_group, table.units).where(*this_month, table.month == f"{sheet.day_of(self.now()):%Y-%m}")
        with self._engine.connect() as connection:
            return {row.tier_group: row.units for row in connection.execute(query)}

    def positions(self, provider: str) -> list[Position | NotRoutable]:
        """Where each SKU of a provider stands in its price table now: marginal price, free units left, and where that was read."""
        sheet = self._prices.get(provider)
        if sheet is None:
            return [NotRoutable("no price sheet")]
        units, day = self.month_to_date_units(provider), sheet.day_of(self.now())
        return [position(sheet, sku, units, day) for sku in sorted({price.sku for price in sheet.prices})]

    def budgets(self) -> list[BudgetStatus]:
        """Every budget with its present window, by name."""
        with self._engine.connect() as connection:
            return budgets.statuses(connection, to_us(self.now()))

    def put_budget(self, budget: Budget, *, by: str = "") -> None:
        """Make a budget or change it; see `cost.ledger.budgets.put`. `by` is who asks for it, and is kept.

        Raises:
            BadBudget: with every problem.
            LedgerUnavailable: see there.
        """
        budgets.check(budget)
        self._alone(lambda book: budgets.put(book, budget, by), exclusive=True, durable=True)

    def delete_budget(self, name: str, *, by: str = "") -> bool:
        """End a budget; False: there is none of that name. `by` is who asks for it, and is kept.

        Raises:
            LedgerUnavailable: see there.
        """
        found: bool = self._alone(lambda book: budgets.retire(book, name, by), exclusive=True, durable=True)
        return found

    def budget_changes(self, name: str) -> list[BudgetChange]:
        """Who set this budget when, newest first."""
        with self._engine.connect() as connection:
            return changes_of(connection, name)

    def budget_alerts(self, name: str) -> list[alerts.Alert]:
        """Which thresholds this budget has reached lately, newest first."""
        with self._engine.connect() as connection:
            return alerts.noticed(connection, name)

    def costs(self, first: date, last: date, group_by: Sequence[str]) -> list[reports.CostRow]:
        """A small report in one go; see `cost.ledger.reports.cost_rows`, which streams."""
        with self._engine.connect() as connection:
            return list(reports.cost_rows(connection, CostFilter(first=first, last=last), group_by))

    def due_alerts(self, lease_s: float = 60.0) -> list[Alert]:
        """Alerts that nobody has delivered, each to one caller at a time: it has `lease_s` seconds to deliver it.

        Raises:
            LedgerUnavailable: see there.
        """
        due: list[Alert] = self._alone(lambda book: alerts.claim(book, self._alerts_insert, duration_us(lease_s)), durable=True)
        return due

    def alert_delivered(self, alert: Alert) -> None:
        """Never tell it again.

        Raises:
            LedgerUnavailable: see there.
        """
        self._alone(lambda book: alerts.delivered(book, alert), durable=True)

    # Repeated requests.

    def claim(self, key: IdempotencyKey, request_id: str, timeout_s: float) -> None:
        """Make a request the owner of its idempotency key, for at most `timeout_s` seconds: where it may need no hold.

        Raises:
            RequestRunning, RequestMismatch, AlreadyAnswered: the key is another request's.
            LedgerUnavailable: see there.
        """
        self._wait(self._writer.submit(ClaimKey(Claim(key, request_id, timeout_s))))

    def save_answer(self, key: IdempotencyKey, answer: SavedAnswer) -> None:
        """Keep what a key's owner answered, for 24 h. Does nothing for who is not the owner, or has answered.

        Raises:
            LedgerUnavailable: see there.
        """
        self._wait(self._writer.submit(SaveAnswer(key, answer)))

    def free_key(self, key: IdempotencyKey, request_id: str) -> None:
        """Forget an owner's key: its request was refused and did nothing.

        Raises:
            LedgerUnavailable: see there.
        """
        self._wait(self._writer.submit(FreeKey(key, request_id)))

    # Its health.

    def now(self) -> datetime:
        """The time the ledger goes by."""
        us = self._clock.estimate_us()
        if us is None:
            us = self._alone(lambda book: book.now_us, wait_s=WAIT_S)
        return from_us(us)

    @property
    def problem(self) -> str | None:
        """Why money can't be recorded now, or a dead process's can't, or None. While it stands, paid providers are left out of routes."""
        return self._writer.problem or self._spool.problem

    @property
    def clock_doubt(self) -> str | None:
        """Why the wall clock is not believed, or None. Holds go on; windows turn by the time since the machine's start."""
        return self._clock.doubt

    @property
    def usage_lost(self) -> int:
        """Usage rows that were dropped because too many waited for the database."""
        return self._usage.lost

    def confirm_clock(self) -> None:
        """An operator says that the wall clock is right."""
        self._alone(lambda book: self._clock.confirm(book.connection))

    def sweep(self) -> int:
        """Look for holds whose owner did not come back; returns how many moved. Done every 5 s anyway.

        Raises:
            LedgerUnavailable: see there.
        """
        return sweep(self._run)

    def close(self) -> None:
        """Write everything that waits, and end."""
        self._writer.close()
        self._spool.close()

    def _resolve(self, resolve: Resolve, wait_s: float | None) -> None:
        if self._writer.problem is not None:
            self._keep_for_later(resolve)
            return
        try:
            self._wait(self._writer.submit(resolve), wait_s)
        except LedgerUnavailable:
            self._keep_for_later(resolve)

    def _keep_for_later(self, resolve: Resolve) -> None:
        try:
            self._spool.add(resolve)
        except OSError:
            # The hold stands: it becomes unknown at its deadline and counts as spent.
            log.exception("ledger.spool_failed", extra={"attempt_id": resolve.attempt_id, "to": resolve.to})

    def _alone(
        self,
        work: Callable[[Any], Any],
        *,
        exclusive: bool = False,
        durable: bool = False,
        wait_s: float = 10 * WAIT_S,
        within_s: float = math.inf,
    ) -> Any:
        return self._wait(self._writer.submit(Alone(work, exclusive=exclusive, durable=durable)), wait_s, within_s)

    def _run(self, operations: Sequence[Operation]) -> list[Any]:
        return [self._wait(future, 10 * WAIT_S) for future in [self._writer.submit(operation) for operation in operations]]

    def _wait(self, future: "Future[Any]", wait_s: float | None = None, within_s: float = math.inf) -> Any:
        """What an operation returns or raises; see `reserve` for how long. `MaybeCommitted` too where it had begun by then."""
        began = now = time.monotonic()
        wait_s = WAIT_S if wait_s is None else wait_s
        longest_s = _BUSY_WAITS_MAX * wait_s
        while True:
            heard_at, at_work = max(began, self._writer.committed_at), not self._writer.may_be_locked_out
            silence_ends = heard_at + (longest_s if at_work else wait_s)
            give_up_at = min(silence_ends, began + longest_s, began + within_s)
            if now >= give_up_at:
                break
            try:
                return future.result(timeout=min(give_up_at - now, wait_s))
            except TimeoutError:
                now = time.monotonic()
        problem = f"no commit within {now - began:.1f} s"
        says_something = now >= silence_ends or (not at_work and now - heard_at >= _SILENCE_S_MIN)
        if says_something and self._writer.problem is None:
            self._writer.problem = problem
        if future.cancel():
            raise LedgerUnavailable(problem)
        raise MaybeCommitted(problem)

    def _do_chores(self, run: Run) -> None:
        """On the writer's thread, about every second."""
        self._spool.replay(run)
        self._usage.flush(run)
        if time.monotonic() >= self._next_sweep_s:
            moved = sweep(run)
            self._next_sweep_s = time.monotonic() + (0.0 if moved >= PAGE else SWEEP_EVERY_S)
