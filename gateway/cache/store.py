"""Where bytes are kept for a while: in Redis (`link`), or in this process. Any key may be missing at any time."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Entry:
    """Bytes under a key, for `ttl_s` seconds."""

    key: str
    value: bytes
    ttl_s: int


class Store(Protocol):
    """Shared by threads. Nothing here raises or waits long: what can't be read is missing, what can't be written is not kept."""

    def get(self, key: str) -> bytes | None:
        """What is kept under a key."""

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """What is kept under each."""

    def put(self, entries: Sequence[Entry]) -> None:
        """Keep all of them."""

    def drop(self, key: str) -> None:
        """Forget one."""

    def problem(self) -> str | None:
        """Why nothing can be read or kept now, or None."""

    def close(self) -> None:
        """Give back connections."""


class MemoryStore:
    """The least recently used go first once all values together have more than `bytes_max` bytes."""

    _OVERHEAD_BYTES = 200
    """Of a key and its place, about."""

    def __init__(self, bytes_max: int = 64 << 20, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._monotonic = monotonic
        self._kept: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> bytes | None:
        """What is kept under a key."""
        with self._lock:
            return self._get(key)

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """What is kept under each."""
        with self._lock:
            return [self._get(key) for key in keys]

    def put(self, entries: Sequence[Entry]) -> None:
        """Keep all of them."""
        with self._lock:
            for entry in entries:
                self._forget(entry.key)
                self._kept[entry.key] = (self._monotonic() + entry.ttl_s, entry.value)
                self._bytes += len(entry.value) + self._OVERHEAD_BYTES
            while self._bytes > self._bytes_max:
                self._forget(next(iter(self._kept)))

    def drop(self, key: str) -> None:
        """Forget one."""
        with self._lock:
            self._forget(key)

    def problem(self) -> str | None:
        """None: memory is always there."""
        return None

    def close(self) -> None:
        """Nothing to give back."""

    def _get(self, key: str) -> bytes | None:
        until, value = self._kept.get(key, (0.0, b""))
        if self._monotonic() >= until:
            self._forget(key)
            return None
        self._kept.move_to_end(key)
        return value

    def _forget(self, key: str) -> None:
        if key in self._kept:
            self._bytes -= len(self._kept.pop(key)[1]) + self._OVERHEAD_BYTES
