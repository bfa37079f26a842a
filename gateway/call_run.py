"""One call on its way to a provider: shared by the provider's thread, which makes it, and the request's thread, which waits for it."""

import threading
import time

from cost.ledger import LedgerError
from cost.money import FREE, Money
from gateway.metering import Held
from gateway.outcome import Attempt
from providers.contract import Answer, Call
from providers.errors import ProviderError


class CallRun:
    """What is known of a call at any moment.

    Attributes:
        held: the money of the first try, held before the call was started.
        passed_at: when its circuit let it pass, on the monotonic clock, in seconds.
        answer, error: how it ended; both None while it runs. An error is the provider's or the ledger's.
        settled: set once the ledger knows how every try ended.
    """

    def __init__(self, provider: str, call: Call, held: Held, passed_at: float) -> None:
        self.call = call
        self.held = held
        self.passed_at = passed_at
        self.answer: Answer | None = None
        self.error: ProviderError | LedgerError | None = None
        self.settled = threading.Event()
        self._provider = provider
        self._lock = threading.Lock()
        self._attempts: list[Attempt] = []
        self._sending: Money | None = held.price
        self._started = time.monotonic()
        self._closed = False

    def may_retry(self) -> bool:
        """Whether anybody still waits for it."""
        return not self._closed

    def retry_begins(self, price: Money) -> bool:
        """A further try, its money held, is about to be sent; False if nobody waits for it any more: then it must not be."""
        with self._lock:
            if self._closed:
                return False
            self._sending, self._started = price, time.monotonic()
            return True

    def try_ended(self, outcome: str, cost: Money, latency_ms: float) -> None:
        """The try that was being sent has ended so."""
        with self._lock:
            self._sending = None
            self._attempts.append(Attempt(self._provider, tuple(sorted(self.call.features)), outcome, cost, latency_ms))

    def close(self) -> tuple[Attempt, ...]:
        """The request is over: no further try begins. Every try so far; one that still runs is `late`, and its price counts as spent."""
        with self._lock:
            self._closed = True
            attempts = tuple(self._attempts)
            if self._sending is None:
                return attempts
            waited_ms = (time.monotonic() - self._started) * 1000
            return (*attempts, Attempt(self._provider, tuple(sorted(self.call.features)), "late", self._sending, waited_ms))

    @property
    def latency_ms(self) -> float:
        """Of the last try that ended."""
        return self._attempts[-1].latency_ms if self._attempts else 0.0

    @property
    def machine_us(self) -> int:
        """What the machine behind an in-house answer worked for it alone; where nobody told, all of the call counts."""
        told = self.answer.machine_us if self.answer else None
        return round(self.latency_ms * 1000) if told is None else told

    @property
    def price(self) -> Money:
        """Of the last try, which brought the answer."""
        return self._attempts[-1].cost if self._attempts else FREE

    @property
    def cost(self) -> Money:
        """Of all tries so far, the one that runs included."""
        with self._lock:
            return sum((attempt.cost for attempt in self._attempts), self._sending or FREE)
