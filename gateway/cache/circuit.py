"""When a server is left alone: errors open the circuit for everybody, and a thread of its own finds out when it is well again.

No request pays for finding out. While it is open nobody waits.
"""

import logging
import threading
import time
from collections.abc import Callable

from gateway.monitoring.numbers import gauge

log = logging.getLogger(__name__)

AWAY = gauge("gateway_cache_away", "1 while Redis is left alone because it fails or is slow.", "use", across="livemax")

_ERRORS = 3
"""In a row. One is a hiccup, of which others need not suffer: a kept answer that is not found may have to be paid for."""

_EVERY_S = 0.5


class Circuit:
    """One use of one server: reading, or writing. Opens at the third error in a row; those of one moment are one error."""

    def __init__(self, name: str, probe: Callable[[], None], *, every_s: float = _EVERY_S) -> None:
        """`probe` does a small piece of the work, and raises while that can't be done. It is called every `every_s` seconds."""
        self.name = name
        self._probe = probe
        self._every_s = every_s
        self._lock = threading.Lock()
        self._errors = 0
        self._latest_error = float("-inf")
        self._closing = threading.Event()
        self.problem: str | None = None

    def went_well(self) -> None:
        """No error."""
        self._errors = 0

    def failed(self, error: Exception, began: float) -> bool:
        """Count an error; whether it opened the circuit. Its text may hold an address, never a password.

        Args:
            error: what became of a use of the server.
            began: when it began, on the monotonic clock. One that was under way at the error before tells nothing new.
        """
        with self._lock:
            if began < self._latest_error:
                return False
            self._latest_error = time.monotonic()
            self._errors += 1
            if self.problem is not None or self._closing.is_set() or self._errors < _ERRORS:
                return False
            self.problem = f"{type(error).__name__}: {error}"
        AWAY.set(1, use=self.name)
        log.warning("cache.away", extra={"use": self.name, "reason": self.problem})
        threading.Thread(target=self._find_out, name=f"cache-{self.name}", daemon=True).start()
        return True

    def close(self) -> None:
        """Stop finding out."""
        self._closing.set()

    def _find_out(self) -> None:
        while not self._closing.wait(self._every_s):
            try:
                self._probe()
            except Exception as error:  # noqa: BLE001 -- whatever it is, it is not well
                self.problem = f"{type(error).__name__}: {error}"
                continue
            self._errors, self.problem = 0, None
            AWAY.set(0, use=self.name)
            log.info("cache.back", extra={"use": self.name})
            return
