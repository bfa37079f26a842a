"""Writes the simulated past as the gateway would have written it: through the ledger, at the times of then, in the order of then."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from cost.ledger import Budget, BudgetExhausted, Hold, Ledger, UsageRow
from cost.ledger.clock import elapsed_us
from cost.money import FREE, Money
from cost.price_files import load_prices
from cost.price_sheets import PriceBook, Priced, price_call
from cost.windows import window_of
from gateway.database import prepare_database
from gateway.ids import new_id
from gateway.keys import Keys
from tests.demo.plan import CLIENTS, Asked, plan

AMPLE = Money.usd("1000")
BUDGETS = (
    (Budget("everything", "global", "", "month", "UTC", AMPLE, alert_at=(Decimal("0.8"), Decimal("0.95"))), "0.86"),
    (Budget("google", "provider", "google_vision", "month", "America/Los_Angeles", AMPLE, pacing=True, alert_at=(Decimal("0.9"),)), "0.55"),
    (Budget("shop", "tag", "team:shop", "week", "Europe/Berlin", AMPLE, when_exhausted="reject", alert_at=(Decimal("0.8"),)), "0.64"),
    (Budget("claims", "client", "claims-desk", "month", "Europe/Berlin", AMPLE), "0.31"),
)
"""Each with the part of its limit that the present window has used."""

_WRITERS = 16
_ONE_BY_ONE = 100
"""The latest, which a list of rows shows first: each at its own time."""


class PastClock:
    """Time as it was: moved by hand, and consistent with what the machine's own clock will say when the gateway starts.

    A thread that has read it reads the same moment as time since the machine's start, although others move it on in between.
    """

    def __init__(self) -> None:
        self._real_now, self._real_elapsed = datetime.now(UTC), elapsed_us()
        self._read = threading.local()
        self.at = self._real_now

    def now(self) -> datetime:
        self._read.at = self.at
        return self._read.at

    def elapsed(self) -> int:
        return self._real_elapsed - int((self._real_now - getattr(self._read, "at", self.at)).total_seconds() * 1_000_000)


def write_history(database_url: str, spool: Path, prices: Path, days: int) -> str:
    """Write it all; returns a key of the role `finance`."""
    clock, engine = PastClock(), prepare_database(database_url)
    keys = Keys(engine)
    for client, (_, tags, _feature) in CLIENTS.items():
        keys.create(client, "app", {"team": tags["team"][0]})
    _, finance = keys.create("anna", "finance")
    book, everything = load_prices(prices, {"rekognition": "us-east-1"}), plan(clock.at, days)
    clock.at = everything[0].at - timedelta(hours=1)
    ledger = Ledger(engine, book, spool=spool, now=clock.now, elapsed=clock.elapsed)
    for budget, _ in BUDGETS:
        ledger.put_budget(budget, by="admin")
    _write(ledger, clock, everything[:-_ONE_BY_ONE], book, _WRITERS)
    _write(ledger, clock, everything[-_ONE_BY_ONE:], book, 1)
    for budget, used in BUDGETS:
        ledger.put_budget(replace(budget, limit=_limit(budget, used, everything, book, clock.at)), by="anna")
    ledger.due_alerts()
    ledger.close()
    engine.dispose()
    return finance


def _write(ledger: Ledger, clock: PastClock, everything: list[Asked], book: PriceBook, writers: int) -> None:
    """Several at a time, as in life, so that they are written in groups: the clock moves on with each that begins."""
    ahead, lock = iter(everything), threading.Lock()

    def write() -> None:
        while True:
            with lock:
                asked = next(ahead, None)
                if asked is None:
                    return
                clock.at = asked.at
            _write_one(ledger, asked, book)

    with ThreadPoolExecutor(writers) as pool:
        for done in [pool.submit(write) for _ in range(writers)]:
            done.result()


def _write_one(ledger: Ledger, asked: Asked, book: PriceBook) -> None:
    who = {"request_id": new_id(), "client": asked.client, "features": frozenset({asked.feature}), "tags": asked.tags}
    if asked.kind != "call":
        imputed = Money(random.Random(asked.at.timestamp()).randint(36, 60)) if asked.kind == "in_house" else FREE
        saved = _price(replace(asked, provider="rekognition") if asked.kind == "in_house" else asked, book)
        ledger.record_usage(UsageRow(kind=asked.kind, provider=asked.provider, sku=asked.sku, imputed=imputed, avoided=saved, **who))
        return
    try:
        held = ledger.reserve(Hold(provider=asked.provider, usage={asked.sku: 1}, timeout_s=15, **who))
    except BudgetExhausted:
        return
    if asked.ends == "unknown":
        ledger.unknown(held.attempt_id, outcome="timeout")
    elif asked.ends == "released":
        ledger.release(held.attempt_id, outcome="throttled")
    else:
        ledger.settle(held.attempt_id, provider_request_id=f"simulated-{held.attempt_id[-10:]}")


def _price(asked: Asked, book: PriceBook) -> Money:
    priced = price_call(book[asked.provider], {asked.sku: 1}, {}, asked.at.date())
    assert isinstance(priced, Priced), priced
    return priced.total


def _limit(budget: Budget, used: str, everything: list[Asked], book: PriceBook, now: datetime) -> Money:
    """A round limit of which the present window has used about this part."""
    window = window_of(budget.period, budget.timezone, now)
    spent = FREE
    for asked in everything:
        counts = {"global": "", "provider": asked.provider, "client": asked.client, "tag": f"team:{asked.tags['team']}"}[budget.scope]
        if asked.kind == "call" and asked.ends != "released" and asked.at in window and counts == budget.scope_value:
            spent += _price(asked, book)
    cents = int(Decimal(spent.nanos) / Decimal(used) / 10_000_000) + 1
    return Money(cents * 10_000_000)
