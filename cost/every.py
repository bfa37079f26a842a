"""What is done every few seconds on a thread of its own, until it is closed."""

import logging
import threading
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from cost.ledger.errors import LedgerUnavailable

log = logging.getLogger(__name__)


class Every:
    """Does `work` every `every_s` seconds, one round at a time. Made after fork; `close` it.

    A round that fails ends nothing, the next may go well. Until one does, each kind of failure is logged once, as `<name>.failed`.
    """

    def __init__(self, every_s: float, work: Callable[[], object], name: str) -> None:
        """Begin, with the first round in `every_s` seconds. `name` is in the log."""
        self._every_s, self._work, self._name = every_s, work, name
        self._failing: set[type[Exception]] = set()
        self._round = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def closing(self) -> bool:
        """Whether a round that takes long should end early."""
        return self._closing.is_set()

    def now(self) -> None:
        """Do a round here and now, also when it is closed. Never fails."""
        with self._round:
            try:
                self._work()
            except Exception as error:  # noqa: BLE001 -- whatever it is, the next round may go well
                self._tell(error)
            else:
                if self._failing:
                    log.info("%s.back", self._name)
                self._failing.clear()

    def close(self) -> None:
        """Begin no more, and wait for the round that is being done."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.wait(self._every_s):
            self.now()

    def _tell(self, error: Exception) -> None:
        """Of a database that is away the ledger tells more; and what SQLAlchemy says after its first line may be a client's."""
        if type(error) in self._failing:
            return
        self._failing.add(type(error))
        away = isinstance(error, SQLAlchemyError | LedgerUnavailable)
        said = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        log.log(logging.WARNING if away else logging.ERROR, "%s.failed", self._name, extra=said, exc_info=None if away else error)
