"""Providers made of a function, for tests of what stands around providers."""

import io
import os
import tempfile
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import PIL.Image

from cost.comparisons import ComparisonStore
from cost.ledger import Ledger
from cost.money import FREE, Money
from cost.price_sheets import Price, PriceBook, PriceSheet, Tier
from gateway.breaker import Breaker
from gateway.cache.results import Results
from gateway.cache.shared_flight import SharedFlights
from gateway.cache.sharing import Sharing
from gateway.cache.store import Store
from gateway.database import prepare_database
from gateway.dispatch import Dispatcher
from gateway.ids import new_id
from gateway.judge import Judge
from gateway.latency import LatencyTracker
from gateway.line import Line
from gateway.metering import Bill, Meter
from gateway.outcome import Outcome
from gateway.pacing import Pacing
from gateway.policies import Policies
from gateway.reads import BoundedReads
from gateway.wire.options import Options
from providers.contract import FEATURES, Answer, BoundingBox, Call, Detection, Feature, Health, Usage
from providers.images import Image, ImageLimits, read_image

_MEMORY = Path("/dev/shm")
"""Files in memory, where there is such a place."""


class Toy:
    """Answers one dog, or does what `behave(nth call)` does."""

    def __init__(self, name: str, behave: Callable[[int], None] = lambda _: None, features: tuple[Feature, ...] = ("objects",)) -> None:
        self.name = name
        self.features = frozenset(features)
        self.behave = behave
        self.region = ""
        self.asked = 0
        self.label, self.confidence = "dog", 0.9
        self.box = BoundingBox(0.1, 0.1, 0.5, 0.5)
        self.timeouts_s: list[float] = []
        self.refuses: str | None = None
        self.is_ready = Health(ready=True)
        self._lock = threading.Lock()

    @property
    def model(self) -> str:
        return f"{self.name} 1"

    def calls(self, features: frozenset[Feature]) -> tuple[Call, ...]:
        return tuple(Call(frozenset({feature}), (Usage(feature, 1),)) for feature in sorted(features))

    def refusal(self, image: Image, features: frozenset[Feature]) -> str | None:
        return self.refuses

    def detect(self, image: Image, call: Call, timeout_s: float) -> Answer:
        with self._lock:
            self.asked += 1
            nth = self.asked
            self.timeouts_s.append(timeout_s)
        self.behave(nth)
        label = self.label
        found = tuple(Detection(f, label, self.confidence, self.box, self.name, label.title()) for f in sorted(call.features) if label)
        return Answer(found, self.model)

    def health(self) -> Health:
        return self.is_ready

    def close(self) -> None:
        pass


def prices_of(*toys: Toy) -> PriceBook:
    """A tenth of a cent a unit of every feature; `local` bills nobody."""
    book = {}
    for toy in toys:
        usd = Money.usd("0.001") if toy.name != "local" else FREE
        rows = tuple(Price(feature, (Tier(0, usd),), feature) for feature in FEATURES)
        book[toy.name] = PriceSheet(toy.name, rows, imputed=toy.name == "local")
    return book


class Toybox:
    """Dispatchers of toys on one real ledger in a folder.

    The ledger's file is in memory where there is such a place: deadlines are tested here, and not how long a busy disk takes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._in_memory = tempfile.TemporaryDirectory(dir=_MEMORY if os.access(_MEMORY, os.W_OK) else folder)
        self._closing = threading.Event()
        self.database = prepare_database(f"sqlite:///{self._in_memory.name}/gateway.db")
        self.dispatchers: list[Dispatcher] = []
        self.ledgers: list[Ledger] = []
        self.others: list[Policies | Pacing | ComparisonStore] = []

    def dispatcher(
        self,
        *toys: Toy,
        threads: int = 8,
        deadline_ms: int = 20_000,
        prices: PriceBook | None = None,
        store: Store | None = None,
        ttl_s: int = 60,
        value: str = "0.01",
        **results: object,
    ) -> Dispatcher:
        """With a store, answers are kept there. `value` is what a good answer is worth, in dollars."""
        prices = prices_of(*toys) if prices is None else prices
        ledger = Ledger(self.database, prices, spool=self._folder / "spool")
        meter = Meter(ledger, prices, BoundedReads(), Decimal("0.36"))
        latency, breaker = LatencyTracker(), Breaker()
        lines = [Line(toy, 64 if toy.name == "local" else threads, latency, breaker, meter) for toy in toys]
        by_name, sharing = {line.name: line for line in lines}, None
        if store is not None:
            flights = SharedFlights(ledger, BoundedReads(), good_s=ttl_s, lease_s=1.0)
            sharing = Sharing(Results(store, by_name, ttl_s, **results), flights, by_name)
        self.policies = Policies(self.database, [line.name for line in lines], [line.name for line in lines if line.paid], every_s=3600)
        self.pacing = Pacing(self.database, ledger, self.policies.multiplier_for, Money.usd(value), every_s=3600)
        self.comparisons = ComparisonStore(self.database, every_s=3600)
        self.others += [self.policies, self.pacing, self.comparisons]
        dispatcher = Dispatcher(
            lines,
            default_deadline_ms=deadline_ms,
            sharing=sharing,
            judge=Judge(self.policies),
            pacing=self.pacing,
            comparisons=self.comparisons,
        )
        self.dispatchers.append(dispatcher)
        self.ledgers.append(ledger)
        return dispatcher

    def behind(self, *toys: Toy) -> Dispatcher:
        """A second dispatcher of the same toys and the last ledger, as experiments have one. Its lines are closed by who uses it."""
        meter = self.dispatchers[-1].lines[toys[0].name].meter
        return Dispatcher([Line(toy, 4, LatencyTracker(), Breaker(), meter) for toy in toys], default_deadline_ms=2_000)

    def hang(self, _nth: int) -> None:
        """For a toy: no answer until the test is over."""
        self._closing.wait(60)

    def close(self) -> None:
        self._closing.set()
        for dispatcher in self.dispatchers:
            dispatcher.close()
        for other in self.others:
            other.close()
        for ledger in self.ledgers:
            ledger.close()
        self.database.dispose()
        self._in_memory.cleanup()


def ask(
    dispatcher: Dispatcher, image: Image | None = None, *, max_cost: Money | None = None, client: str = "tester", **options: object
) -> Outcome:
    """One request, as the resource makes it."""
    asked = Options(**options)
    deadline = time.monotonic() + dispatcher.time_limit_s(asked)
    return dispatcher.detect(image or picture(), asked, Bill(new_id(), client, asked.tags, max_cost, tenant=client), deadline)


def sleeps(seconds: float) -> Callable[[int], None]:
    return lambda _: time.sleep(seconds)


def raises(error: Exception, times: int = 10**9) -> Callable[[int], None]:
    def behave(nth: int) -> None:
        if nth <= times:
            raise error

    return behave


def jpeg(width: int = 64, height: int = 48, shade: int = 128) -> bytes:
    out = io.BytesIO()
    PIL.Image.fromarray(np.full((height, width, 3), shade, np.uint8)).save(out, "JPEG")
    return out.getvalue()


def picture() -> Image:
    return read_image(jpeg(), ImageLimits())


def outcomes(outcome):
    return [(attempt.provider, attempt.outcome) for attempt in outcome.attempts]


def seen_ms(line, feature, ms):
    for _ in range(20):
        line.latency.record(f"{line.name}:{feature}", ms)
