"""Many pictures in one request: so many at a time, each answered as soon as it is ready, under limits of the whole."""

import contextvars
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from cost.money import FREE, Money

Item = TypeVar("Item")

_AT_A_TIME = 8
"""Of one batch, so that a second one gets on beside it."""


class BatchThreads:
    """The threads in which the items of all batches are answered. One a process."""

    def __init__(self, threads: int) -> None:
        """Answer so many items at a time."""
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="batch")

    def run(self, items: Sequence[Item], work: Callable[[Item], bytes]) -> Iterator[bytes]:
        """What `work` makes of each item, in the order in which they are ready.

        The first ones are begun at once. Whoever stops listening stops the others from being begun; those that run end by themselves.

        Args:
            items: what to do.
            work: does one, in another thread, within the context of this call; it must not raise.
        """
        waiting = iter(items)
        context = contextvars.copy_context()
        ready: queue.SimpleQueue[bytes] = queue.SimpleQueue()

        def begin() -> int:
            for item in waiting:
                self._pool.submit(lambda item: ready.put(context.copy().run(work, item)), item)
                return 1
            return 0

        running = sum(begin() for _ in range(_AT_A_TIME))

        def results() -> Iterator[bytes]:
            left = running
            while left:
                line = ready.get()
                left += begin() - 1
                yield line

        return results()

    def close(self) -> None:
        """Let those that run end."""
        self._pool.shutdown(wait=True)


class Purse:
    """What a whole batch may cost, shared out: each item gets an equal share of what is left, or one call's price where that is more.

    What it does not need goes to the others. So the sum is never over the limit, however many items run at a time: nothing is promised
    twice; and where the limit is short, as many as it pays for are paid, rather than none.
    """

    def __init__(self, limit: Money, items: int) -> None:
        """Share this out among so many items."""
        self._left = limit
        self._items = items
        self._lock = threading.Lock()

    def take(self, price: Money = FREE) -> Money:
        """An item begins, for which a call costs this much: its share."""
        with self._lock:
            share = max(Money(self._left.nanos // max(self._items, 1)), min(price, self._left))
            self._items -= 1
            self._left -= share
            return share

    def give_back(self, share: Money, spent: Money) -> None:
        """It has ended, and has spent this much of its share."""
        assert FREE <= spent <= share
        with self._lock:
            self._left += share - spent
