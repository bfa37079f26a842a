"""Threads in which a provider's calls are waited for, beyond their client's patience if need be, and none of the other providers'."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from providers.errors import ProviderOverloaded


class CallThreads:
    """A bounded pool: a call gets a thread at once, or is refused at once. Nothing queues.

    In two steps, since between them money is held: take a place, then either run in it or give it back.
    """

    def __init__(self, name: str, threads: int) -> None:
        """Make room for this many calls at a time."""
        self._name = name
        self._places = threading.BoundedSemaphore(threads)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"provider-{name}")

    def take(self) -> None:
        """Take a place.

        Raises:
            ProviderOverloaded: every thread is busy.
        """
        if not self._places.acquire(blocking=False):
            raise ProviderOverloaded(f"All calls to {self._name} that may run at a time are running.", retry_after_s=1.0)

    def give_back(self) -> None:
        """A place that was taken is not needed."""
        self._places.release()

    def run(self, work: Callable[[], None]) -> None:
        """Start the work in the place that was taken; it is free again when the work ends.

        Raises:
            ProviderOverloaded: the process is stopping. The place is free again.
        """

        def work_and_leave() -> None:
            try:
                work()
            finally:
                self._places.release()

        try:
            self._pool.submit(work_and_leave)
        except RuntimeError as error:
            self._places.release()
            raise ProviderOverloaded("The gateway is stopping.") from error

    def close(self) -> None:
        """Wait for the calls that run: a paid one settles even then."""
        self._pool.shutdown(wait=True)
