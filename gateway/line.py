"""One provider as the dispatcher sees it: its threads, its health, its speed, and its metered calls."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from cost.ledger import LedgerError
from cost.money import FREE, Money
from gateway.breaker import Breaker
from gateway.latency import LatencyTracker
from gateway.metering import Bill, Meter
from gateway.outcome import Attempt
from gateway.retries import RetryBudget, call_with_retries
from gateway.threads import CallThreads
from providers.contract import Answer, Call, Feature, Provider
from providers.errors import ProviderError, ProviderFailed
from providers.images import Image

_LATE_ANSWER_S = 5.0
"""A paid call goes on this long after its client's deadline: it is billed, so its answer is worth settling and keeping."""


@dataclass
class CallRun:
    """One call on its way: written by the provider's thread, read by the request's.

    Attributes:
        attempts: the tries that ended; a retry is a try of its own.
        held: the price of the try that runs.
        answer, error: how it ended; both None while it runs. An error is the provider's or the ledger's.
    """

    call: Call
    started: float = field(default_factory=time.monotonic)
    attempts: list[Attempt] = field(default_factory=list)
    held: Money = FREE
    answer: Answer | None = None
    error: ProviderError | LedgerError | None = None


@dataclass
class Line:
    """A provider, and everything that is kept about it in this process."""

    provider: Provider
    threads: int
    latency: LatencyTracker
    breaker: Breaker
    meter: Meter
    retries: RetryBudget = field(default_factory=RetryBudget)

    def __post_init__(self) -> None:
        self.name = self.provider.name
        self.paid = self.meter.is_paid(self.name)
        self._threads = CallThreads(self.name, self.threads)

    def circuit_problem(self, features: frozenset[Feature]) -> str:
        """Why no call for these features would pass now; empty if it would."""
        ill = [key for key in self._keys(features) if not self.breaker.would_allow(key)]
        return self.breaker.reason(ill[0]) if ill else ""

    def allow(self, features: frozenset[Feature], probe_s: float) -> bool:
        """Let a call pass, or not; see `Breaker.allow`."""
        return all(self.breaker.allow(key, probe_s) for key in self._keys(features))

    def latency_ms(self, features: frozenset[Feature], fraction: float) -> float | None:
        """How long answers for these features took lately, the slowest of them; None where nothing is known."""
        known = [ms for key in self._keys(features) if (ms := self.latency.quantile_ms(key, fraction)) is not None]
        return round(max(known), 1) if known else None

    def start(self, image: Image, call: Call, bill: Bill, deadline: float, report: Callable[[CallRun], None]) -> CallRun:
        """Make one call in a thread of this provider's, and report its end even after the deadline.

        Args:
            image: upright, decoded.
            call: one of the provider's own `calls(features)`.
            bill: who pays.
            deadline: on the monotonic clock, in seconds.
            report: called exactly once, from that thread.

        Raises:
            ProviderOverloaded: no thread is free; nothing was sent and nothing held.
        """
        run = CallRun(call)

        def make_the_call() -> None:
            try:
                run.answer = call_with_retries(
                    lambda: self._metered_try(image, run, bill, deadline), self.retries, lambda: deadline - time.monotonic()
                )
            except (ProviderError, LedgerError) as error:
                run.error = error
            except Exception as error:  # noqa: BLE001 -- a mistake of our own must not leave a client waiting
                run.error = ProviderFailed(f"{self.name} failed in the gateway itself: {error!r}")
            report(run)

        self._threads.run(make_the_call)
        return run

    def close(self) -> None:
        """Let running calls end and give everything back."""
        self._threads.close()
        self.provider.close()

    def _metered_try(self, image: Image, run: CallRun, bill: Bill, deadline: float) -> Answer:
        """Hold, call, settle: one request to the provider."""
        grace_s = _LATE_ANSWER_S if self.paid else 0.0
        timeout_s = max(deadline - time.monotonic() + grace_s, 0.001)
        held = self.meter.hold(self.name, run.call, bill, timeout_s)
        run.held = held.price
        started = time.monotonic()
        try:
            answer = self.provider.detect(image, run.call, timeout_s)
        except Exception as raised:
            error = raised if isinstance(raised, ProviderError) else ProviderFailed(f"{self.name} failed in its adapter: {raised!r}")
            self._end_try(run, error.code, held.failed(error), started)
            if error.opens_circuit:
                for key in self._keys(run.call.features):
                    self.breaker.record(key, healthy=False, reason=f"{error.code}: {error}")
            raise error from raised
        self._end_try(run, "answered", held.answered(answer), started)
        for key in self._keys(run.call.features):
            self.breaker.record(key, healthy=True)
        return answer

    def _end_try(self, run: CallRun, outcome: str, cost: Money, started: float) -> None:
        latency_ms = (time.monotonic() - started) * 1000
        run.held = FREE
        run.attempts.append(Attempt(self.name, tuple(sorted(run.call.features)), outcome, cost, latency_ms))
        if outcome in {"answered", "timeout"}:
            for key in self._keys(run.call.features):
                self.latency.record(key, latency_ms)

    def _keys(self, features: frozenset[Feature]) -> list[str]:
        """A circuit and a latency a feature: text may be ill or slow while objects are well."""
        return [f"{self.name}:{feature}" for feature in sorted(features)]
