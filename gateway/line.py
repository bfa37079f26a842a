"""One provider as the dispatcher sees it: its threads, its health, its speed, and one metered call."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from cost.money import FREE, Money
from gateway.breaker import Breaker
from gateway.bulkhead import Bulkhead
from gateway.latency import LatencyTracker
from gateway.retries import RetryBudget, call_with_retries
from providers.contract import Answer, Call, Feature, Provider
from providers.errors import ProviderError, ProviderFailed
from providers.images import Image

IN_HOUSE = "local"
_LATE_ANSWER_S = 5.0
"""A paid call goes on this long after its client's deadline: it is billed, so its answer is worth keeping."""


@dataclass(frozen=True, slots=True)
class CallEnd:
    """How one call ended: with an answer or with an error."""

    call: Call
    latency_ms: float
    cost: Money = FREE
    answer: Answer | None = None
    error: ProviderError | None = None


@dataclass
class Line:
    """A provider, and everything that is kept about it in this process."""

    provider: Provider
    threads: int
    latency: LatencyTracker
    breaker: Breaker
    retries: RetryBudget = field(default_factory=RetryBudget)

    def __post_init__(self) -> None:
        self.name = self.provider.name
        self._bulkhead = Bulkhead(self.name, self.threads)

    def circuit_key(self, features: frozenset[Feature]) -> str:
        """A circuit a provider and feature set: text may be ill while objects are well."""
        return f"{self.name}:{','.join(sorted(features))}"

    def latency_ms(self, features: frozenset[Feature], fraction: float) -> float | None:
        """How long answers for these features took lately; None where nothing is known."""
        latency = self.latency.quantile_ms(self.circuit_key(features), fraction)
        return None if latency is None else round(latency, 1)

    def start(self, image: Image, call: Call, deadline: float, report: Callable[[CallEnd], None]) -> None:
        """Make one call in a thread of this provider's, and report its end even after the deadline.

        Args:
            image: upright, decoded.
            call: one of the provider's own `calls(features)`.
            deadline: on the monotonic clock, in seconds.
            report: called exactly once, from that thread.

        Raises:
            ProviderOverloaded: no thread is free; nothing was sent.
        """

        def make_the_call() -> None:
            report(self._metered(image, call, deadline))

        self._bulkhead.run(make_the_call)

    def close(self) -> None:
        """Let running calls end and give everything back."""
        self._bulkhead.close()
        self.provider.close()

    def _metered(self, image: Image, call: Call, deadline: float) -> CallEnd:
        key = self.circuit_key(call.features)
        grace_s = 0.0 if self.name == IN_HOUSE else _LATE_ANSWER_S

        def time_left_s() -> float:
            return deadline - time.monotonic()

        def one_try() -> Answer:
            return self.provider.detect(image, call, max(time_left_s() + grace_s, 0.001))

        started = time.monotonic()
        try:
            answer = call_with_retries(one_try, self.retries, time_left_s)
        except ProviderError as error:
            latency_ms = (time.monotonic() - started) * 1000
            if error.opens_circuit:
                self.breaker.record(key, healthy=False, reason=f"{error.code}: {error}")
                self.latency.record(key, latency_ms)
            return CallEnd(call, latency_ms, error=error)
        except Exception as error:  # noqa: BLE001 -- an adapter's own mistake must not leave a client waiting
            self.breaker.record(key, healthy=False, reason=f"bug: {error!r}")
            bug = ProviderFailed(f"{self.name} failed in our own adapter: {error!r}")
            return CallEnd(call, (time.monotonic() - started) * 1000, error=bug)
        latency_ms = (time.monotonic() - started) * 1000
        self.breaker.record(key, healthy=True)
        self.latency.record(key, latency_ms)
        return CallEnd(call, latency_ms, answer=answer)
