"""One provider as the dispatcher sees it: its threads, its health, its speed, and its metered calls."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from cost.ledger import LedgerError
from gateway.breaker import Breaker
from gateway.call_run import CallRun
from gateway.latency import LatencyTracker
from gateway.metering import Bill, Held, Meter
from gateway.monitoring.stages import stage
from gateway.monitoring.tracing import carried
from gateway.retries import RetryBudget, call_with_retries
from gateway.threads import CallThreads
from gateway.throttle import Throttle
from providers.contract import Answer, Call, Feature, Provider
from providers.errors import ImageRefused, ProviderError, ProviderFailed, ProviderOverloaded, ProviderThrottled
from providers.images import Image

_LATE_ANSWER_S = 5.0
"""A paid call goes on this long after its client's deadline: it is billed, so its answer is worth settling and keeping."""

_LEDGER_SHARE = 0.5
"""Of the time left, so that a provider for which nothing has to be recorded may still answer in time."""

_PROBE_S_MAX = 15.0
"""A probe whose end is never heard of keeps the others out for no longer."""


@dataclass
class Line:
    """A provider, and everything that is kept about it in this process."""

    provider: Provider
    calls_max: int
    latency: LatencyTracker
    breaker: Breaker
    meter: Meter
    retries: RetryBudget = field(default_factory=RetryBudget)

    def __post_init__(self) -> None:
        self.name = self.provider.name
        self.paid = self.meter.is_paid(self.name)
        self.threads = CallThreads(self.name, self.calls_max)
        # The in-house model says at once, and for nothing, that its queue is full; to ask elsewhere instead would cost money.
        self.throttles = {feature: Throttle() for feature in self.provider.features} if self.paid else {}

    def circuit_problem(self, features: frozenset[Feature]) -> str:
        """Why no call for these features would pass now; empty if it would."""
        ill = [key for key in self._keys(features) if not self.breaker.would_allow(key)]
        return self.breaker.reason(ill[0]) if ill else ""

    def throttled(self, features: frozenset[Feature]) -> str:
        """Why others should rather be asked about these features now; empty if nothing speaks against it."""
        return next((problem for name in sorted(features & self.throttles.keys()) if (problem := self.throttles[name].problem())), "")

    def allow(self, features: frozenset[Feature], probe_s: float) -> bool:
        """Let a call pass, or not; see `Breaker.allow`. Once it has passed, it must be made or `leave` be called."""
        passed: list[str] = []
        for key in self._keys(features):
            if not self.breaker.allow(key, min(probe_s, _PROBE_S_MAX)):
                for taken in passed:
                    self.breaker.leave(taken, time.monotonic())
                return False
            passed.append(key)
        return True

    def leave(self, features: frozenset[Feature], passed_at: float) -> None:
        """A call that had passed said nothing about the provider's health, or was not made."""
        for key in self._keys(features):
            self.breaker.leave(key, passed_at)

    def latency_ms(self, features: frozenset[Feature], fraction: float) -> float | None:
        """How long answers for these features took lately, the slowest of them; None where nothing is known."""
        known = [ms for key in self._keys(features) if (ms := self.latency.quantile_ms(key, fraction)) is not None]
        return round(max(known), 1) if known else None

    def hold(self, call: Call, bill: Bill, deadline: float) -> Held:
        """Hold a call's price for as long as it may run. At return it is durable.

        Raises:
            LedgerError: nothing is held, and nothing may be sent.
        """
        within_s = (deadline - time.monotonic()) * _LEDGER_SHARE
        return self.meter.hold(self.name, call, bill, self._timeout_s(deadline), within_s)

    def start(self, image: Image, run: CallRun, bill: Bill, deadline: float, report: Callable[[CallRun], None]) -> None:
        """Make a call, its money held and its thread taken, and report its end even after the deadline.

        Args:
            image: upright, decoded.
            run: one of the provider's own `calls(features)`.
            bill: who pays.
            deadline: on the monotonic clock, in seconds.
            report: called exactly once, from the provider's thread; the ledger is told afterwards, so that no answer waits for it.

        Raises:
            ProviderOverloaded: the process is stopping; nothing was sent.
        """
        endings: list[Callable[[], None]] = []

        def time_left_s() -> float:
            return deadline - time.monotonic() if run.may_retry() else 0.0

        def make_the_call() -> None:
            try:
                run.answer = call_with_retries(lambda: self._try(image, run, bill, deadline, endings), self.retries, time_left_s)
            except (ProviderError, LedgerError) as error:
                run.error = error
            except Exception as error:  # noqa: BLE001 -- a mistake of our own must not leave a client waiting
                run.error = ProviderFailed(f"{self.name} failed in the gateway itself: {error!r}")
            self.leave(run.call.features, run.passed_at)  # the place of a probe that said nothing about health
            report(run)
            with stage("settle", provider=self.name):
                _tell_ledger(endings)
            run.settled.set()

        self.threads.run(carried(make_the_call))

    def close(self) -> None:
        """Let running calls end and give everything back."""
        self.threads.close()
        self.provider.close()

    def _try(self, image: Image, run: CallRun, bill: Bill, deadline: float, endings: list[Callable[[], None]]) -> Answer:
        """One request to the provider. What the ledger is to be told of it is added to `endings`."""
        held = run.held if not endings else self._hold_again(run, bill, deadline, endings)
        timeout_s = self._timeout_s(deadline)
        turns = {name: self.throttles[name].take() for name in run.call.features & self.throttles.keys()}
        started = time.monotonic()
        try:
            with stage("detect", provider=self.name):
                answer = self.provider.detect(image, run.call, timeout_s)
        except Exception as raised:
            error = raised if isinstance(raised, ProviderError) else ProviderFailed(f"{self.name} failed in its adapter: {raised!r}")
            endings.append(lambda: held.failed(error))
            run.try_ended(error.code, held.cost_of(error), (time.monotonic() - started) * 1000)
            self._note_health(run, error)
            if isinstance(error, ProviderThrottled):
                for name, began in turns.items():
                    self.throttles[name].refused(began, error.retry_after_s)
            raise error from raised
        endings.append(lambda: held.answered(answer))
        run.try_ended("answered", held.price, (time.monotonic() - started) * 1000)
        self._note_health(run, None)
        self._note_latency(run)
        return answer

    def _hold_again(self, run: CallRun, bill: Bill, deadline: float, endings: list[Callable[[], None]]) -> Held:
        """A retry's own hold, once the try before it has given its money back."""
        _tell_ledger(endings)
        held = self.hold(run.call, bill, deadline)
        if not run.retry_begins(held.price):
            gone = ProviderOverloaded("Nobody waits for this call any more.")
            held.failed(gone)
            raise gone
        return held

    def _timeout_s(self, deadline: float) -> float:
        grace_s = _LATE_ANSWER_S if self.paid else 0.0
        return max(deadline - time.monotonic() + grace_s, 0.001)

    def _note_health(self, run: CallRun, error: ProviderError | None) -> None:
        for key in self._keys(run.call.features):
            if error is None or isinstance(error, ImageRefused):  # a refusal of the picture is an answer
                self.breaker.record(key, run.passed_at, healthy=True)
            elif error.opens_circuit:
                self.breaker.record(key, run.passed_at, healthy=False, reason=f"{error.code}: {error}")

    def _note_latency(self, run: CallRun) -> None:
        for key in self._keys(run.call.features):
            self.latency.record(key, run.latency_ms)

    def key(self, feature: Feature) -> str:
        """Of a feature's circuit and its latency: text may be ill or slow while objects are well."""
        return f"{self.name}:{feature}"

    def _keys(self, features: frozenset[Feature]) -> list[str]:
        return [self.key(feature) for feature in sorted(features)]


def _tell_ledger(endings: list[Callable[[], None]]) -> None:
    """Settle, release or leave as unknown what has ended. An ending stays in the list, done: it also says that a try was made."""
    for place, end in enumerate(endings):
        end()
        endings[place] = _done


def _done() -> None:
    """The ledger knows."""
