"""Numbers for Prometheus: declared beside the code that knows them, written in a line.

    from gateway.monitoring.numbers import counter, gauge, histogram

    LOOKS = counter("gateway_cache_looks_total", "Look-ups in the cache.", "result")
    KEPT = gauge("gateway_cache_entries", "Answers in the cache.", across="mostrecent")
    FILL = histogram("gateway_model_batch_images", "Pictures a batch.", buckets=(1, 2, 4, 8, 16))

    LOOKS.add(result="hit")
    KEPT.set(512)
    FILL.observe(8)

It appears in `/metrics` by itself, summed up over all processes of this gateway. Counting is cheap (see `counting`). Names begin with
`gateway_` and end in the unit (`_seconds`, `_usd`) or, for counters, in `_total`. Labels have few values: providers, features, routes,
results; never ids, digests, keys or what a client made up. Money is a float here, for a dashboard only; nothing is decided by it.

prometheus_client is imported with the first number that is written: it chooses then, by the environment, whether it keeps numbers in
this process or in files that all processes share (`gateway.monitoring.folder`).
"""

import math
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from gateway.monitoring.counting import count

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

Kind = Literal["counter", "gauge", "histogram"]
Across = Literal["livesum", "livemax", "livemin", "mostrecent"]
"""How one gauge is made of those of several processes: of the living ones, or the latest that any of them set."""

LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""From a look in the cache to the longest deadline that anybody sets; about two a doubling, so that a quantile is within 1.6x."""

DECLARED: dict[str, "Number"] = {}
"""Every number of the modules that are imported, by name."""

_lock = threading.Lock()
_registry: "CollectorRegistry | None" = None


class Number:
    """One number, or one for each combination of its labels' values."""

    def __init__(self, kind: Kind, name: str, meaning: str, labels: Sequence[str], **details: Any) -> None:
        assert name.startswith("gateway_"), name
        assert name.endswith("_total") == (kind == "counter"), name
        assert name not in DECLARED, f"{name} is declared twice"
        self.kind, self.name, self.meaning, self.labels = kind, name, meaning, tuple(labels)
        self._details = details
        self._children: dict[tuple[tuple[str, str], ...], Any] = {}
        self._whole: Any = None
        DECLARED[name] = self

    def add(self, amount: float = 1, **labels: str) -> None:
        """Count more: of a counter.

        Raises:
            ValueError: other labels were declared; so of all that follow.
        """
        count(self.child(**labels), amount)

    def set(self, value: float, **labels: str) -> None:
        """The gauge's value now."""
        self.child(**labels).set(value)

    def forget(self, **labels: str) -> None:
        """The gauge has no value any more: what it measured is gone."""
        self.child(**labels).set(math.nan)

    def observe(self, value: float, **labels: str) -> None:
        """One more value of the histogram."""
        count(self.child(**labels), value)

    def child(self, **labels: str) -> Any:
        """Where the number with these labels is kept: a `counting.Tally` of a counter and of a histogram."""
        key = tuple(labels.items())
        child = self._children.get(key)
        if child is None:
            with _lock:
                self._whole = self._whole or _make(self, self._details)
                child = self._children.setdefault(key, self._whole.labels(**labels) if self.labels or labels else self._whole)
        return child


def counter(name: str, meaning: str, *labels: str) -> Number:
    """What only grows."""
    return Number("counter", name, meaning, labels)


def gauge(name: str, meaning: str, *labels: str, across: Across) -> Number:
    """What goes up and down."""
    return Number("gauge", name, meaning, labels, multiprocess_mode=across)


def histogram(name: str, meaning: str, *labels: str, buckets: Sequence[float] = LATENCY_BUCKETS_S) -> Number:
    """How values are distributed; durations in seconds by default."""
    return Number("histogram", name, meaning, labels, buckets=tuple(buckets))


def registry() -> "CollectorRegistry":
    """What this process has counted."""
    from prometheus_client import CollectorRegistry  # noqa: PLC0415 -- chooses where numbers are kept, see above

    global _registry  # noqa: PLW0603 -- one a process, as Prometheus means it
    _registry = _registry or CollectorRegistry()
    return _registry


def _make(number: Number, details: dict[str, Any]) -> Any:
    from gateway.monitoring.kinds import Counter, Gauge, Histogram  # noqa: PLC0415 -- imports prometheus_client, see above

    made = {"counter": Counter, "gauge": Gauge, "histogram": Histogram}[number.kind]
    return made(number.name, number.meaning, number.labels, registry=registry(), **details)
