"""Database reads that a request does not wait for longer than it should: a database that is frozen must not freeze requests."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from typing import TypeVar

T = TypeVar("T")

_THREADS = 8
_PATIENCE_S = 0.5


class ReadTimedOut(Exception):
    """The database did not answer in time, or so many reads wait for it already that this one was not begun."""


class BoundedReads:
    """A few threads that read for all others."""

    def __init__(self, threads: int = _THREADS, patience_s: float = _PATIENCE_S) -> None:
        """Let this many reads run at a time, each waited for at most `patience_s` seconds."""
        self._places = threading.BoundedSemaphore(threads)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="reads")
        self._patience_s = patience_s

    def read(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises.

        Raises:
            ReadTimedOut: see there. The read itself may go on.
        """
        if not self._places.acquire(timeout=self._patience_s):
            raise ReadTimedOut("too many reads wait for the database")

        def work_and_leave() -> T:
            try:
                return work()
            finally:
                self._places.release()

        future: Future[T] = self._pool.submit(work_and_leave)
        try:
            return future.result(self._patience_s)
        except FutureTimeout as error:
            if future.done():  # the work's own timeout
                raise
            raise ReadTimedOut(f"no answer within {self._patience_s} s") from error

    def close(self) -> None:
        """Begin no more reads."""
        self._pool.shutdown(wait=False)
