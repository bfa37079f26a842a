"""When a server is left alone: its first error opens the circuit for everybody, and a thread of its own finds out when it is well again.

No request pays for finding out. While it is open nobody waits.
"""

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)

_EVERY_S = 0.5


class Circuit:
    """One use of one server: reading, or writing."""

    def __init__(self, name: str, probe: Callable[[], None], *, every_s: float = _EVERY_S) -> None:
        """`probe` does a small piece of the work, and raises while that can't be done. It is called every `every_s` seconds."""
        self._name = name
        self._probe = probe
        self._every_s = every_s
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self.problem: str | None = None
        self.opened = 0
        self.errors = 0

    def failed(self, error: Exception) -> None:
        """Count an error, and open. Its text may hold an address, never a password."""
        with self._lock:
            self.errors += 1
            if self.problem is not None or self._closing.is_set():
                return
            self.problem = f"{type(error).__name__}: {error}"
            self.opened += 1
        log.warning("cache.away", extra={"use": self._name, "reason": self.problem})
        threading.Thread(target=self._find_out, name=f"cache-{self._name}", daemon=True).start()

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
            self.problem = None
            log.info("cache.back", extra={"use": self._name})
            return
