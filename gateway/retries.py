"""Trying the same provider again: rarely, late, and never where the first try may have been billed."""

import threading
from collections.abc import Callable
from typing import TypeVar

import tenacity

from providers.errors import ProviderError

T = TypeVar("T")

_SHARE = 0.2
_SAVED_MAX = 10.0
_TRIES = 2
_WAIT_S_MAX = 0.02


class RetryBudget:
    """At most one retry for every five first tries, so that a provider in trouble is not sent more than it can't take already.

    Source: https://sre.google/sre-book/handling-overload/ (per-client retry ratio)
    """

    def __init__(self) -> None:
        self._saved = 1.0
        self._lock = threading.Lock()

    def deposit(self) -> None:
        """A first try was made."""
        with self._lock:
            self._saved = min(self._saved + _SHARE, _SAVED_MAX)

    def withdraw(self) -> bool:
        """Whether a retry may be made now; if so, it is counted."""
        with self._lock:
            if self._saved < 1:
                return False
            self._saved -= 1
            return True


def call_with_retries(call: Callable[[], T], budget: RetryBudget, time_left_s: Callable[[], float]) -> T:
    """Call once, and once more where that is safe, worth it and in time.

    Args:
        call: one metered attempt.
        budget: of the provider.
        time_left_s: seconds until the answer is of no use.

    Raises:
        ProviderError: of the last try.
    """

    def worth_another_try(error: BaseException) -> bool:
        if not isinstance(error, ProviderError) or not error.retryable or error.maybe_billed:
            return False
        return (error.retry_after_s or 0) + 2 * _WAIT_S_MAX < time_left_s() and budget.withdraw()

    def wait_s(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked_s = error.retry_after_s if isinstance(error, ProviderError) else None
        return (asked_s or 0.0) + jitter(state)

    jitter = tenacity.wait_random(_WAIT_S_MAX / 4, _WAIT_S_MAX)
    budget.deposit()
    return tenacity.Retrying(
        stop=tenacity.stop_after_attempt(_TRIES),
        retry=tenacity.retry_if_exception(worth_another_try),
        wait=wait_s,
        reraise=True,
    )(call)
