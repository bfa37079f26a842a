"""What has happened at a model since its start, and in the last seconds."""

import time
from collections import deque
from collections.abc import Sequence

RECENT_S = 10.0
QUEUE_S_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64)


class Histogram:
    """Observations in buckets, as Prometheus counts them."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.buckets = [0] * len(bounds)
        self.count = 0
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one."""
        self.count += 1
        self.total += value
        for place, bound in enumerate(self.bounds):
            if value <= bound:
                self.buckets[place] += 1


class Counts:
    """Written under the batcher's lock, read by anyone.

    Attributes:
        queue_s: from a picture's coming to the start of its batch, in seconds; decoding and letterboxing included.
        batch_images: pictures a batch.
        forward_s: that batches took, in all; decoding included where a process does both.
    """

    def __init__(self, images_max: int) -> None:
        self.images = self.batches = self.failed = self.expired = self.overloaded = self.out_of_memory = 0
        self.forward_s = 0.0
        self.queue_s = Histogram(QUEUE_S_BUCKETS)
        self.batch_images = Histogram(BATCH_BUCKETS)
        self._images_max = images_max
        self._started = time.monotonic()
        self._recent: deque[tuple[float, int]] = deque()

    def batch_ran(self, queued_s: Sequence[float], forward_s: float) -> None:
        """One batch went through the network, of as many pictures as there are waits."""
        now = time.monotonic()
        self.images += len(queued_s)
        self.batches += 1
        self.forward_s += forward_s
        self.batch_images.observe(len(queued_s))
        for seconds in queued_s:
            self.queue_s.observe(seconds)
        self._recent.append((now, len(queued_s)))
        while self._recent[0][0] < now - RECENT_S:
            self._recent.popleft()

    @property
    def images_per_second(self) -> float:
        """Over the last ten seconds, or since the start where that is less long ago."""
        return sum(self._recent_sizes()) / max(min(time.monotonic() - self._started, RECENT_S), 0.001)

    @property
    def batch_fill(self) -> float:
        """Of the batches of the last ten seconds: pictures over places, in [0, 1]; 0 where there was none."""
        sizes = self._recent_sizes()
        return sum(sizes) / (len(sizes) * self._images_max) if sizes else 0.0

    def _recent_sizes(self) -> list[int]:
        since = time.monotonic() - RECENT_S
        return [images for at, images in list(self._recent) if at >= since]
