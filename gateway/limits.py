"""Rate limits of a key, over all replicas: requests a second and pixels a second. Counted in the cache's Redis, or in this process."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import limits.storage
from limits import RateLimitItemPerSecond
from limits.strategies import SlidingWindowCounterRateLimiter

from gateway.cache.link import RedisStore
from gateway.errors import RateLimited
from gateway.keys import Key

if TYPE_CHECKING:
    from limits.storage import SlidingWindowCounterSupport

_Count = Callable[[SlidingWindowCounterRateLimiter], float | None]
"""Counts with a limiter; seconds to wait, or None: it may."""


class RateLimits:
    """Sliding windows of one second. Shared by threads."""

    def __init__(self, store: RedisStore | None) -> None:
        """Count there, so that replicas count together; None, and while it is away: each process counts for itself."""
        self._store = store
        self._here = SlidingWindowCounterRateLimiter(limits.storage.MemoryStorage())
        self._together = None
        if store is not None:
            self._together = SlidingWindowCounterRateLimiter(
                limits.storage.RedisStorage("redis://", connection_pool=store.pool, key_prefix="vg:limit")
            )

    def close(self) -> None:
        """Give back connections."""
        if self._store is not None:
            self._store.close()

    def request(self, key: Key) -> None:
        """Count a request.

        Raises:
            RateLimited: one too many in this second.
        """
        if key.requests_per_s is not None:
            self._check(key, "requests", key.requests_per_s, 1)

    def pixels(self, key: Key, count: int) -> None:
        """Count a picture's pixels.

        Raises:
            RateLimited: too many in this second. A picture larger than the limit counts as much as may be, so that it passes alone.
        """
        if key.pixels_per_s is not None:
            self._check(key, "pixels", key.pixels_per_s, min(count, key.pixels_per_s))

    def _check(self, key: Key, what: str, limit: int, cost: int) -> None:
        item = RateLimitItemPerSecond(limit, namespace=what)

        def count(limiter: SlidingWindowCounterRateLimiter) -> float | None:
            if limiter.hit(item, key.id, cost=cost):
                return None
            storage = cast("SlidingWindowCounterSupport", limiter.storage)
            return until_free_s(limit - cost, *storage.get_sliding_window(item.key_for(key.id), item.get_expiry()))

        told_s = self._counted(count)
        if told_s is not None:
            wait_s = max(math.ceil(told_s), 1)
            raise RateLimited(
                f"This key may send {limit:,} {what} a second. Send it again in {wait_s} s.",
                retry_after_s=wait_s,
                limit=limit,
                unit=f"{what}_per_s",
            )

    def _counted(self, count: _Count) -> float | None:
        """Together where that can be done; a Redis that is away stops nobody."""
        together = self._together
        if together is not None and self._store is not None:
            told = self._store.run(lambda: (count(together),))
            if told is not None:
                return told[0]
        return count(self._here)


def until_free_s(most: int, before: int, before_fades_s: float, during: int, during_fades_s: float) -> float:
    """Seconds until no more than `most` counts. The library tells when the first unit is free; a picture needs many.

    Args:
        most: what may count for the next to pass.
        before: counted in the second before this one; it counts less and less until this one ends.
        before_fades_s: until it counts for nothing.
        during: counted in this second.
        during_fades_s: until that counts for nothing.
    """
    room = most + 1  # parts of a unit don't count
    if during < room:
        return before_fades_s - (room - during) / before if before else 0.0
    return during_fades_s - room / during
