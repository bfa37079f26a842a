"""The writer: one thread a process that commits everything that waits as one batch, so that many callers share one fsync.

A caller waits for its batch's commit. While one batch is being written the next one gathers; there is no artificial delay.
"""

import logging
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from cost.ledger.batches import BatchFailed, BatchRunner, Done
from cost.ledger.errors import LedgerUnavailable
from cost.ledger.operations import Alone, Operation

BATCH_MAX = 256

Run = Callable[[Sequence[Operation]], list[Any]]
"""Commits operations and returns their results, or raises as `Writer.submit` says. `Alone` comes alone."""

log = logging.getLogger(__name__)


class MaybeCommitted(LedgerUnavailable):
    """The database went away during the commit: the operation may have happened."""


@dataclass(eq=False, slots=True)
class _Job:
    operation: Operation
    future: Future[Any]


class Writer:
    """Runs batches on a thread of its own.

    Args:
        runner: commits a batch.
        chores: called about every `tick_s` seconds, and at the end, with what commits operations on this thread.

    Attributes:
        problem: why nothing can be committed now, or None.
        committed_at: when a batch was last committed, on the monotonic clock, in seconds.
    """

    def __init__(self, runner: BatchRunner, chores: Callable[["Run"], None], tick_s: float) -> None:
        self._runner = runner
        self._chores = chores
        self._tick_s = tick_s
        self._waiting: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._chores_problem = ""
        self._pid = os.getpid()
        self.problem: str | None = None
        self.committed_at = -math.inf
        self._thread = threading.Thread(target=self._work, name="ledger-writer", daemon=True)
        self._thread.start()

    def submit(self, operation: Operation) -> "Future[Any]":
        """Queue an operation. The future's `cancel` succeeds only while it has not begun.

        Its exception is a `LedgerError` (a refusal), `LedgerUnavailable` (nothing happened) or `MaybeCommitted`.
        """
        assert os.getpid() == self._pid, "a ledger is made after the fork, one a process"
        job = _Job(operation, Future())
        with self._changed:
            if self._closing:
                raise LedgerUnavailable("the ledger has been closed")
            self._waiting.append(job)
            self._changed.notify()
        return job.future

    @property
    def may_be_locked_out(self) -> bool:
        """Whether another writer may keep this one waiting; see `Store`."""
        return self._runner.may_be_locked_out

    def close(self) -> None:
        """Commit what waits, do the chores a last time, and end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()
        self._runner.close()

    def _work(self) -> None:
        next_chores = time.monotonic()
        last_round = False
        while not last_round:
            jobs = self._take(max(0.0, next_chores - time.monotonic()))
            # Decided before the chores: what came while they were done still gets a round.
            last_round = self._closing and not self._waiting
            if jobs:
                self._commit(jobs)
            if last_round or time.monotonic() >= next_chores:
                self._do_chores()
                next_chores = time.monotonic() + self._tick_s

    def _take(self, wait_s: float) -> list[_Job]:
        """The next batch: everything that waits, but work that wants a transaction of its own comes alone."""
        with self._changed:
            if not self._waiting and not self._closing:
                self._changed.wait(wait_s)
            jobs: list[_Job] = []
            while self._waiting and len(jobs) < BATCH_MAX:
                if isinstance(self._waiting[0].operation, Alone) and jobs:
                    break
                job = self._waiting.popleft()
                if job.future.set_running_or_notify_cancel():
                    jobs.append(job)
                if isinstance(job.operation, Alone):
                    break
            return jobs

    def _commit(self, jobs: list[_Job]) -> None:
        try:
            outcomes = self._runner.run([job.operation for job in jobs])
        except BatchFailed as failure:
            self._fail(jobs, failure)
            return
        self.problem, self.committed_at = None, time.monotonic()
        for job, outcome in zip(jobs, outcomes, strict=True):
            if isinstance(outcome, Done):
                job.future.set_result(outcome.result)
            else:
                job.future.set_exception(outcome.error)

    def _fail(self, jobs: list[_Job], failure: BatchFailed) -> None:
        cause = failure.__cause__
        if len(jobs) > 1 and not failure.in_doubt and not failure.database_away:
            # One of them is to blame, not the database: the others must not fail with it.
            for job in jobs:
                self._commit([job])
            return
        said = str(cause).splitlines()
        problem = f"{type(cause).__name__}: {said[0] if said else ''}"
        # Once an outage, not once a request.
        level = logging.ERROR if self.problem is None else logging.DEBUG
        log.log(level, "ledger.batch_failed", extra={"reason": problem, "in_doubt": failure.in_doubt}, exc_info=cause)
        if failure.in_doubt or failure.database_away or isinstance(jobs[0].operation, Alone):
            self.problem = problem
        for job in jobs:
            error = MaybeCommitted if failure.in_doubt else LedgerUnavailable
            job.future.set_exception(error(problem))

    def _do_chores(self) -> None:
        """Then an empty batch, which tells whether the database is there."""
        try:
            self._chores(self._run_now)
            self._run_now([Alone(lambda _book: None)])
            self._chores_problem = ""
        except LedgerUnavailable:
            log.debug("ledger.chores_put_off", extra={"reason": self.problem})
        except Exception as error:
            before, self._chores_problem = self._chores_problem, f"{type(error).__name__}: {error}"
            self.problem = self._chores_problem
            if before != self.problem:  # not each second
                log.exception("ledger.chores_failed")

    def _run_now(self, operations: Sequence[Operation]) -> list[Any]:
        """Commit operations on this thread, as one batch."""
        jobs = [_Job(operation, Future()) for operation in operations]
        for job in jobs:
            job.future.set_running_or_notify_cancel()
        self._commit(jobs)
        return [job.future.result() for job in jobs]
