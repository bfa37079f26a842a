"""The ledger's clock: the database's time, guarded. A clock that jumps must neither open a fresh budget nor bring back an old window.

The time since the machine's start (CLOCK_BOOTTIME) is the witness. The wall clock is believed while it agrees with the witness; when it is
behind by more than 5 s or ahead by more than an hour, the ledger goes on by the witness from the last time that was believed, and says so,
until the clock agrees again or an operator confirms it. What was believed is kept in the database, so that a restart does not forget it.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, bindparam, func, select

from cost.ledger.schema import clock_anchors
from cost.ledger.stores import Store
from cost.ledger.times import HOUR_US, SECOND_US

_BEHIND_MAX_US = 5 * SECOND_US
_AHEAD_MAX_US = HOUR_US
_KEEP_EVERY_US = 60 * SECOND_US

log = logging.getLogger(__name__)

_OF_BOOT = select(clock_anchors.c.wall_us, clock_anchors.c.elapsed_us).where(clock_anchors.c.boot_id == bindparam("boot"))
_LATEST = select(func.max(clock_anchors.c.wall_us))


def elapsed_us() -> int:
    """Microseconds since this machine started, sleep included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000


def boot_id() -> str:
    """Names this start of this machine; where it has no name (not Linux), this process's own."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return f"process-{time.monotonic_ns()}"


class LedgerClock:
    """The writer thread's; others may call `estimate_us` and read `doubt`."""

    def __init__(self, store: Store, wall_us: Callable[[Connection], int], elapsed: Callable[[], int], boot: str) -> None:
        self._wall_us = wall_us
        self._elapsed = elapsed
        self._boot = boot
        self._keep = store.replace(clock_anchors)
        self._anchor: tuple[int, int] | None = None
        self._kept_us = 0
        self._latest_us = 0
        self.doubt: str | None = None

    def now_us(self, connection: Connection) -> int:
        """The time for this batch; never before that of an earlier one."""
        wall, elapsed = self._wall_us(connection), self._elapsed()
        anchor = self._anchor or self._first_anchor(connection, wall, elapsed)
        drift = wall - self._expected(anchor, elapsed)
        if not self._credible(drift):
            # Another process may have been told that the clock is right.
            anchor = self._stored(connection) or anchor
            drift = wall - self._expected(anchor, elapsed)
        if self._credible(drift):
            now = max(wall, self._latest_us)
            self._anchor = (now, elapsed)
            self._say(None)
            if now - self._kept_us >= _KEEP_EVERY_US:
                self._store(connection, now, elapsed)
        else:
            now = max(self._expected(anchor, elapsed), self._latest_us)
            self._anchor = anchor
            self._say(f"the clock is {abs(drift) // SECOND_US} s {'ahead of' if drift > 0 else 'behind'} the time the ledger goes by")
        self._latest_us = now
        return now

    def estimate_us(self) -> int | None:
        """The time by the witness alone, for any thread; None before the first batch."""
        anchor = self._anchor
        return None if anchor is None else max(self._expected(anchor, self._elapsed()), self._latest_us)

    def confirm(self, connection: Connection) -> None:
        """An operator says that the wall clock is right."""
        wall, elapsed = self._wall_us(connection), self._elapsed()
        self._anchor, self._latest_us = (wall, elapsed), wall
        self._store(connection, wall, elapsed)
        self._say(None)

    def forget(self) -> None:
        """A batch was rolled back: what it kept is not kept."""
        self._kept_us = 0

    @staticmethod
    def _expected(anchor: tuple[int, int], elapsed: int) -> int:
        return anchor[0] + elapsed - anchor[1]

    @staticmethod
    def _credible(drift: int) -> bool:
        return -_BEHIND_MAX_US <= drift <= _AHEAD_MAX_US

    def _first_anchor(self, connection: Connection, wall: int, elapsed: int) -> tuple[int, int]:
        """Where this machine's start is known, its witness speaks. Otherwise any later time is believed: it may have been off for days."""
        stored = self._stored(connection)
        if stored is not None:
            return stored
        latest = connection.execute(_LATEST).scalar() or 0
        return (wall if wall >= latest - _BEHIND_MAX_US else latest), elapsed

    def _stored(self, connection: Connection) -> tuple[int, int] | None:
        row = connection.execute(_OF_BOOT, {"boot": self._boot}).one_or_none()
        return None if row is None else (row.wall_us, row.elapsed_us)

    def _store(self, connection: Connection, wall: int, elapsed: int) -> None:
        connection.execute(self._keep, {"boot_id": self._boot, "wall_us": wall, "elapsed_us": elapsed})
        self._kept_us = wall

    def _say(self, doubt: str | None) -> None:
        if (doubt is None) != (self.doubt is None):
            log.warning("ledger.clock_doubted" if doubt else "ledger.clock_believed", extra={"reason": doubt})
        self.doubt = doubt
