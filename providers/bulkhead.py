"""Calls that end: a few threads for each provider, and one hard time limit over everything that a call does.

A provider that hangs holds its own threads and nobody else's; when they are all held, the next call is refused at once.
Source: M. Nygard, Release It!, chapter 5 ("Bulkheads", "Timeouts", "Fail Fast").
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import ContextVar
from typing import Literal, TypeVar

from providers.errors import ProviderError, ProviderFailed, ProviderOverloaded, ProviderTimeout, ProviderUnreachable

T = TypeVar("T")
Stage = Literal["preparing", "connecting", "sent"]

_SHORTEST_S = 0.001
"""SDKs take a timeout of 0 or less for "none", or refuse it."""

_current: ContextVar["Attempt"] = ContextVar("attempt")


class Attempt:
    """One call under way: how much time it has left, and whether anything of it has left this machine.

    Money hangs on that: a call of which nothing was sent can't be billed. So once its caller has given up, it never sends.
    """

    def __init__(self, timeout_s: float) -> None:
        self._ends_at = time.monotonic() + timeout_s
        self._lock = threading.Lock()
        self._stage: Stage = "preparing"
        self._abandoned = False
        self._hang_up: Callable[[], None] | None = None

    @property
    def left_s(self) -> float:
        """Seconds until the call must have ended; never quite 0."""
        return max(self._ends_at - time.monotonic(), _SHORTEST_S)

    @property
    def sent(self) -> bool:
        """Whether bytes of the request may have left."""
        return self._stage == "sent"

    def connecting(self) -> None:
        """Say that from here on the provider is waited for, not ourselves."""
        self._enter("connecting", None)

    def sending(self, hang_up: Callable[[], None] | None = None) -> None:
        """Say that from here on bytes may leave. `hang_up` ends the call from another thread, so that its thread comes back.

        Raises:
            ProviderTimeout: the caller has gone; nothing may be sent.
        """
        self._enter("sent", hang_up)

    def abandon(self) -> ProviderError:
        """Give the call up; what its caller is to be told."""
        with self._lock:
            self._abandoned = True
            stage, hang_up = self._stage, self._hang_up
        if hang_up is not None:
            hang_up()
        if stage == "preparing":
            return ProviderOverloaded("The time was over before the request was ready to be sent.")
        if stage == "connecting":
            return ProviderUnreachable("No connection within the time limit.")
        return ProviderTimeout("No answer within the time limit.")

    def _enter(self, stage: Stage, hang_up: Callable[[], None] | None) -> None:
        with self._lock:
            if self._abandoned:
                raise ProviderTimeout("The caller has gone.")
            self._stage, self._hang_up = stage, hang_up


def current_attempt() -> Attempt:
    """The attempt that this thread is working on: for code that an SDK calls back."""
    return _current.get()


class Bulkhead:
    """At most `size` calls at a time, each in a thread of its own pool."""

    def __init__(self, name: str, size: int) -> None:
        self._name = name
        self._size = size
        self._free = threading.BoundedSemaphore(size)
        self._threads = ThreadPoolExecutor(size, thread_name_prefix=name)

    def run(self, work: Callable[[Attempt], T], timeout_s: float) -> T:
        """What `work` answers, within `timeout_s` seconds.

        Raises:
            ProviderOverloaded: all threads are held, or the pool is closed: at once, nothing was sent.
            ProviderError: `work`'s own, or what the end of the time means at the stage that `work` had reached.
        """
        if not self._free.acquire(blocking=False):
            raise ProviderOverloaded(f"{self._name}: all {self._size} calls that may run at once are running.")
        attempt = Attempt(timeout_s)
        try:
            future = self._threads.submit(_worked, attempt, work)
        except RuntimeError as error:  # closed
            self._free.release()
            raise ProviderOverloaded(f"{self._name} is shutting down.") from error
        future.add_done_callback(lambda _: self._free.release())
        ended, _ = wait((future,), attempt.left_s)
        if not ended:
            raise attempt.abandon()
        try:
            return future.result()
        except ProviderError:
            raise
        except Exception as error:
            raise ProviderFailed(f"{self._name}: {type(error).__name__}: {error}") from error

    def start(self, work: Callable[[], object]) -> None:
        """Do it soon, and let nobody wait for it or hear how it ended."""
        self._threads.submit(work)

    def close(self) -> None:
        """Take no more calls. Those that run end by their own time limits."""
        self._threads.shutdown(wait=False)


def _worked(attempt: Attempt, work: Callable[[Attempt], T]) -> T:
    token = _current.set(attempt)
    try:
        return work(attempt)
    finally:
        _current.reset(token)
