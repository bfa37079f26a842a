"""How fast each provider has answered lately."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

_ANSWERS = 512
_WINDOW_S = 600.0
_REFRESH_S = 0.5
"""Sorting the window costs more than it is worth on every request."""


class LatencyTracker:
    """A sliding window of answer times by key (a provider, or a provider and its features): the last 512 within ten minutes."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._windows: dict[str, deque[tuple[float, float]]] = {}
        self._sorted: dict[str, tuple[float, Sequence[float]]] = {}
        self._lock = threading.Lock()

    def record(self, key: str, latency_ms: float) -> None:
        """Note one answer, or how long was waited for one that did not come."""
        with self._lock:
            self._windows.setdefault(key, deque(maxlen=_ANSWERS)).append((self._monotonic(), latency_ms))

    def keys(self, provider: str) -> list[str]:
        """What is known of a provider: its keys, in alphabetical order."""
        with self._lock:
            return sorted(key for key in self._windows if key.partition(":")[0] == provider)

    def quantile_ms(self, key: str, fraction: float) -> float | None:
        """The latency that this fraction of answers did not exceed, in milliseconds; None where nothing is known."""
        with self._lock:
            latencies = self._recent(key)
        if not latencies:
            return None
        return latencies[min(int(fraction * len(latencies)), len(latencies) - 1)]

    def _recent(self, key: str) -> Sequence[float]:
        now = self._monotonic()
        fresh_until, latencies = self._sorted.get(key, (0.0, ()))
        if now < fresh_until and latencies:
            return latencies
        latencies = sorted(ms for at, ms in self._windows.get(key, ()) if at > now - _WINDOW_S)
        self._sorted[key] = (now + _REFRESH_S, latencies)
        return latencies
