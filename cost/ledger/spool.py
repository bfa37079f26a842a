"""Where the end of an attempt waits when the database is away: a file a process, fsynced line by line, replayed until it is recorded.

A process keeps a lock on its file. A file that nobody locks was left by a process that died, and is replayed by whoever finds it.
A torn line is left out: its attempt becomes `unknown` at its deadline, which is the safe side.
"""

import errno
import fcntl
import json
import logging
import os
import threading
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cost.ledger.settlement import Resolve
from cost.ledger.times import new_id
from cost.money import Money

log = logging.getLogger(__name__)


class Spool:
    """This process's file, and those that dead processes left.

    Args:
        folder: on a local disk; made when first needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / f"{new_id()}.jsonl"
        self._file: int | None = None
        self._guard = threading.Lock()
        self._problems: list[str] = []

    @property
    def problem(self) -> str | None:
        """Which dead process's settlements could not be recorded at the last replay, and what an operator may do; or None."""
        return next(iter(self._problems), None)

    def add(self, resolve: Resolve) -> None:
        """Keep it. On disk at return, so that it outlives the machine too.

        Raises:
            OSError: the disk does not take it.
        """
        with self._guard:
            if self._file is None:
                self._file = self._open()
            line = _line(resolve)
            if os.write(self._file, line) < len(line):
                raise OSError(errno.ENOSPC, "only a part of the line was written", str(self._path))
            os.fsync(self._file)

    def replay(self, settle: Callable[[Sequence[Resolve]], Any]) -> None:
        """Record everything that waits. What `settle` raises ends the replay and everything waits on; all of it may be repeated.

        A dead process's file that can't be read or removed becomes the `problem`, and keeps nothing else waiting.
        """
        problems = []
        for path in sorted(self._folder.glob("*.jsonl")):
            try:
                if path != self._path:
                    _replay_orphan(path, settle)
            except OSError as error:
                problems.append(_what_to_do(path, error))
                if problems[-1] not in self._problems:
                    log.error("ledger.spool_unreadable", extra={"file": str(path.absolute()), "reason": problems[-1]})  # noqa: TRY400 -- says all
        self._problems = problems
        with self._guard:
            size = 0 if self._file is None else os.fstat(self._file).st_size
        if size:
            _replay(self._path, settle)
            with self._guard:
                # What was added meanwhile is not cut off: then all of it is replayed again.
                if self._file is not None and os.fstat(self._file).st_size == size:
                    os.ftruncate(self._file, 0)

    def close(self) -> None:
        """Leave the file, if anything is in it, to the next process."""
        with self._guard:
            if self._file is not None:
                if not os.fstat(self._file).st_size:
                    self._path.unlink()
                os.close(self._file)
                self._file = None

    def _open(self) -> int:
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._locked()
        while not os.fstat(file).st_nlink:  # before it was locked, another process took it for one that a dead process left
            os.close(file)
            file = self._locked()
        folder = os.open(self._folder, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        return file

    def _locked(self) -> int:
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        return file


def _replay_orphan(path: Path, settle: Callable[[Sequence[Resolve]], Any]) -> None:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _replay(path, settle)
        path.unlink(missing_ok=True)
    except BlockingIOError:
        pass  # Its process lives.
    finally:
        os.close(file)


def _what_to_do(path: Path, error: OSError) -> str:
    """Without the folder's path: clients are told it, too."""
    return (
        f"{path.name} in the spool's folder, where settlements of a process that died wait, can't be read and removed: {error.strerror}. "
        f"Let user {os.geteuid()} read it and write in its folder; or move it away, and its calls become unknown and count as spent"
    )


def _replay(path: Path, settle: Callable[[Sequence[Resolve]], Any]) -> None:
    resolves = []
    for line in filter(None, path.read_bytes().splitlines()):
        resolve = _read(line)
        if resolve is None:
            log.error("ledger.spool_line_torn", extra={"file": path.name})
        else:
            resolves.append(resolve)
    if resolves:
        settle(resolves)


def _line(resolve: Resolve) -> bytes:
    """It begins with a line's end, so that a torn one before it spoils nothing but itself."""
    said = json.dumps(
        [resolve.attempt_id, resolve.to, resolve.outcome, resolve.provider_request_id, None if resolve.cost is None else resolve.cost.nanos]
    ).encode()
    return b"\n%08x %s\n" % (zlib.crc32(said), said)


def _read(line: bytes) -> Resolve | None:
    check, _, said = line.partition(b" ")
    if check != b"%08x" % zlib.crc32(said):
        return None
    attempt_id, to, outcome, provider_request_id, nanos = json.loads(said)
    return Resolve(attempt_id, to, outcome, provider_request_id, None if nanos is None else Money(nanos))
