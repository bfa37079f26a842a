"""Work that clients' pictures give rise to and no client waits for: a bounded queue, a few threads, and clients always first."""

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

log = logging.getLogger(__name__)

_WAITING_MAX = 256
_BYTES_MAX = 64 * 1024 * 1024
"""Of the pictures that wait, decoded: a small machine must not fill its memory with what can be left undone."""


@dataclass(frozen=True, slots=True)
class Job:
    """Something to do with a picture, whose pixels take `size` bytes; `shed` is called instead where there is no time or room for it."""

    size: int
    work: Callable[[], None]
    shed: Callable[[], None]


class OffPath:
    """The queue and its threads; one a process. It begins nothing while more than `busy` requests of clients are under way."""

    def __init__(self, *, threads: int = 4, busy: int = 8, waiting_max: int = _WAITING_MAX) -> None:
        self._busy = busy
        self._waiting_max = waiting_max
        self._clients = 0
        self._bytes = 0
        self._jobs: deque[Job] = deque()
        self._stopped = False
        self._change = threading.Condition()
        self._under_way = 0
        self._threads = [threading.Thread(target=self._run, name=f"off-path-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    @contextlib.contextmanager
    def client(self) -> Iterator[None]:
        """A client's request is under way."""
        with self._change:
            self._clients += 1
        try:
            yield
        finally:
            with self._change:
                self._clients -= 1
                if self._jobs:
                    self._change.notify()

    def offer(self, job: Job) -> None:
        """Take a job for later, or shed it now. Never waits."""
        with self._change:
            taken = not self._stopped and len(self._jobs) < self._waiting_max and self._bytes + job.size <= _BYTES_MAX
            if taken:
                self._jobs.append(job)
                self._bytes += job.size
                self._change.notify()
        if not taken:
            job.shed()

    def idle(self, within_s: float) -> bool:
        """Wait until nothing waits or is under way; False: it took longer."""
        with self._change:
            return self._change.wait_for(lambda: not self._jobs and not self._under_way, within_s)

    def close(self) -> None:
        """Shed what waits, and let what is under way end."""
        with self._change:
            self._stopped = True
            waiting, self._jobs = list(self._jobs), deque()
            self._change.notify_all()
        for job in waiting:
            job.shed()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while (job := self._next()) is not None:
            try:
                job.work()
            except Exception:
                log.exception("off_path.failed")
            finally:
                with self._change:
                    self._under_way -= 1
                    self._change.notify_all()

    def _next(self) -> Job | None:
        """The next job once clients leave room for it; None once closed."""
        with self._change:
            self._change.wait_for(lambda: self._stopped or (self._jobs and self._clients <= self._busy))
            if self._stopped:
                return None
            job = self._jobs.popleft()
            self._bytes -= job.size
            self._under_way += 1
            return job
