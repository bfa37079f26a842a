"""Prometheus' kinds of numbers, which take many amounts at once."""

from bisect import bisect_left
from collections import Counter as Counts
from collections.abc import Sequence

import prometheus_client
from prometheus_client import Gauge

__all__ = ["Counter", "Gauge", "Histogram"]


class Counter(prometheus_client.Counter):
    """What only grows."""

    def take(self, amounts: Sequence[float]) -> None:
        """Count all of them."""
        self.inc(sum(amounts))


class Histogram(prometheus_client.Histogram):
    """How values are distributed."""

    def take(self, values: Sequence[float]) -> None:
        """As `observe` with each of them; the library has no way to give it many."""
        self._sum.inc(sum(values))
        for bucket, times in Counts(bisect_left(self._upper_bounds, value) for value in values).items():
            self._buckets[bucket].inc(times)
