"""What only each process knows, told by each whoever is scraped: whether it can record money, and what it has lost."""

import threading
from collections import Counter
from collections.abc import Callable, Mapping

from cost.ledger import Ledger
from gateway.monitoring.numbers import counter, gauge

READY = gauge("gateway_ledger_ready", "1 where money can be recorded; 0 as soon as one process can't.", across="livemin")
LOST = counter("gateway_rows_lost_total", "Rows that are missing in reports: too many waited for the database. Never money.", "of")

_EVERY_S = 1.0


class ProcessNumbers:
    """A thread of each process's own: a scrape is answered by one of them. `close` it."""

    def __init__(self, ledger: Ledger, lost: Mapping[str, Callable[[], int]], *, every_s: float = _EVERY_S) -> None:
        """Tell of this ledger; `lost` says of what so many rows were lost until now."""
        self._ledger, self._lost, self._every_s = ledger, lost, every_s
        self._told: Counter[str] = Counter()
        self._stopped = threading.Event()
        self._tell()
        self._thread = threading.Thread(target=self._run, name="process-numbers", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Tell no more."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self._every_s):
            self._tell()

    def _tell(self) -> None:
        READY.set(0 if self._ledger.problem else 1)
        for name, lost in self._lost.items():
            if (more := lost() - self._told[name]) > 0:
                LOST.add(more, of=name)
                self._told[name] += more
