"""How many wrong keys an address may try: guessing 256 bits is hopeless, but it must not cost the database anything either."""

import threading
import time
from collections.abc import Callable

FAILURES_MAX = 10
"""Wrong keys in a row; then one more every `REFILL_S`."""

REFILL_S = 30.0

_ADDRESSES_MAX = 10_000
"""Remembered at a time; beyond that the oldest is forgotten, so that many addresses can't fill the memory."""


class LoginAttempts:
    """Counts failures by address, in this process. A right key is never counted."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._clear_at: dict[str, float] = {}  # when all failures of an address will be forgiven, each after REFILL_S
        self._lock = threading.Lock()

    def wait_s(self, address: str) -> float:
        """How long this address must wait before it may try again; 0: not at all."""
        debt_s = self._clear_at.get(address, 0.0) - self._monotonic()
        return max(0.0, debt_s - (FAILURES_MAX - 1) * REFILL_S)

    def failed(self, address: str) -> None:
        """A wrong key came from this address."""
        with self._lock:
            clear_at = max(self._clear_at.pop(address, 0.0), self._monotonic())
            while len(self._clear_at) >= _ADDRESSES_MAX:
                del self._clear_at[next(iter(self._clear_at))]
            self._clear_at[address] = clear_at + REFILL_S
