"""What off-path work has found out, written together about once a second: the ledger's own writers must not queue behind each picture."""

import threading
import time

from cost.comparisons import ComparisonStore
from cost.ledger.times import new_id
from gateway.experiments.records import records_of
from gateway.experiments.store import ExperimentStore
from gateway.experiments.terms import Observation, Terms
from gateway.pictures import KeptPictures, small_jpeg
from providers.images import Image

_WAITING_MAX = 1_000
_EXPIRES_EVERY_S = 600.0


class Notes:
    """Observations, pictures and comparison records on their way to the database. Shared by threads."""

    def __init__(self, store: ExperimentStore, pictures: KeptPictures, comparisons: ComparisonStore) -> None:
        self._store, self._pictures, self._comparisons = store, pictures, comparisons
        self._waiting: list[tuple[Terms, str, Observation, bytes | None]] = []
        self._guard = threading.Lock()
        self._writing = threading.Lock()
        self._expires_at = time.monotonic()

    def add(self, terms: Terms, image: Image, observation: Observation) -> None:
        """Take what was answered about a picture; forgotten where too much waits for the database."""
        jpeg = small_jpeg(image) if self._pictures.days else None
        with self._guard:
            if len(self._waiting) < _WAITING_MAX:
                self._waiting.append((terms, new_id(), observation, jpeg))

    def has(self, name: str, digest: str) -> bool:
        """Whether a picture has been compared in an experiment."""
        with self._guard:
            waits = any(terms.name == name and one.digest == digest for terms, _, one, _ in self._waiting)
        return waits or bool(self._store.ids(name, digest))

    def write(self) -> set[str]:
        """Write what waits; the names of the experiments that it belongs to.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database is away; what waits waits on, but for pictures.
        """
        with self._writing:
            return self._write()

    def _write(self) -> set[str]:
        if time.monotonic() >= self._expires_at:
            self._pictures.expire()
            self._expires_at = time.monotonic() + _EXPIRES_EVERY_S
        with self._guard:
            waiting = list(self._waiting)
        if not waiting:
            return set()
        self._store.add([(terms.name, id_, one) for terms, id_, one, _ in waiting])
        with self._guard:
            del self._waiting[: len(waiting)]
        for terms, id_, one, _ in waiting:
            for record in records_of(terms, one, id_, "experiment"):
                self._comparisons.add(record)
        self._pictures.keep({one.digest: jpeg for _, _, one, jpeg in waiting if jpeg is not None})  # last: it may fail, and only it
        return {terms.name for terms, *_ in waiting}
