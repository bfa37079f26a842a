"""The folder in which all processes of one gateway keep their numbers, so that any of them can tell the sum."""

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # https://prometheus.github.io/client_python/multiprocess/
_LOCK = "lock"


class NumbersFolder:
    """A fresh folder of this gateway's own, made before its workers are, and gone with the last of them.

    Several gateways may share `parent`. Each holds the lock of its own folder for as long as one of its processes lives; a folder whose
    lock is free was left by one that was killed, and is removed by the next to start.
    """

    def __init__(self, parent: Path) -> None:
        """Make it, and have prometheus_client use it in this process and its children.

        Raises:
            OSError: it can't be made.
        """
        parent.mkdir(parents=True, exist_ok=True)
        with (parent / _LOCK).open("wb") as starting:
            fcntl.flock(starting, fcntl.LOCK_EX)  # whoever starts at the same moment must not take our folder for a left-over
            for left_over in parent.iterdir():
                if left_over.is_dir() and (held := _lock(left_over)) is not None:
                    shutil.rmtree(left_over, ignore_errors=True)
                    os.close(held)
            self.path = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=parent.resolve()))
            self._held = _lock(self.path)  # never closed: workers have it too
        self._owner = os.getpid()
        os.environ[VARIABLE] = str(self.path)

    def forget_process(self, pid: int) -> None:
        """A worker has ended: what it counted stays in the sums, what it was is no more. Called in the process that made the folder."""
        from prometheus_client import multiprocess  # noqa: PLC0415 -- reads the variable

        multiprocess.mark_process_dead(pid, str(self.path))  # type: ignore[no-untyped-call]
        (self.path / f"gauge_mostrecent_{pid}.db").unlink(missing_ok=True)  # it would be the latest for ever of what is gone since

    def remove(self) -> None:
        """The gateway has ended. Does nothing in a worker."""
        if os.getpid() == self._owner:
            shutil.rmtree(self.path, ignore_errors=True)


def _lock(folder: Path) -> int | None:
    """A descriptor that holds the folder's lock for as long as this process, or a child, lives; None where another gateway holds it."""
    held = os.open(folder / _LOCK, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(held)
        return None
    return held
