"""What only each process knows, told by each whoever is scraped: whether it can record money, and what it has lost."""

from collections import Counter
from collections.abc import Callable, Mapping

from cost.every import Every
from cost.ledger import Ledger
from gateway.monitoring.numbers import counter, gauge

READY = gauge("gateway_ledger_ready", "1 where money can be recorded; 0 as soon as one process can't.", across="livemin")
LOST = counter("gateway_rows_lost_total", "Rows that are missing in reports: too many waited for the database. Never money.", "of")

_EVERY_S = 1.0


class ProcessNumbers:
    """Each process tells its own: a scrape is answered by one of them. `close` it."""

    def __init__(self, ledger: Ledger, lost: Mapping[str, Callable[[], int]], *, every_s: float = _EVERY_S) -> None:
        """Tell of this ledger; `lost` says of what so many rows were lost until now."""
        self._ledger, self._lost = ledger, lost
        self._told: Counter[str] = Counter()
        self._every = Every(every_s, self._tell, "process_numbers")
        self._every.now()

    def close(self) -> None:
        """Tell no more."""
        self._every.close()

    def _tell(self) -> None:
        READY.set(0 if self._ledger.problem else 1)
        for name, lost in self._lost.items():
            if (more := lost() - self._told[name]) > 0:
                LOST.add(more, of=name)
                self._told[name] += more
