"""Keeps comparison records in the gateway's database: written off the request path in batches, bounded, and read by whoever learns."""

import threading
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, delete, func, insert, select, update

from cost.comparisons.schema import comparisons
from cost.comparisons.terms import Comparison, Found, Origin, Verdict
from cost.database import write_transaction
from cost.every import Every
from cost.ledger.times import to_us

WAITING_MAX = 5_000
BATCH_MAX = 200
KEPT_MAX = 100_000
"""Of the router's own records: older ones make room. What an experiment or a comparison wrote stays until it is deleted."""

_EVERY_S = 1.0
_ROUTERS_OWN: tuple[Origin, ...] = ("escalation", "exploration", "feedback")


class UnknownComparison(LookupError):
    """There is no record of this id, or no reply of this provider in it."""


class ComparisonStore:
    """One a process, shared by its threads; `close` it. `add` never waits and never fails; everything else asks the database."""

    def __init__(self, engine: Engine, *, every_s: float = _EVERY_S, kept_max: int = KEPT_MAX) -> None:
        """Keep records in this database; write what waits every `every_s` seconds."""
        self._engine = engine
        self._kept_max = kept_max
        self._waiting: list[Comparison] = []
        self._guard = threading.Lock()
        self._flushing = threading.Lock()
        self._written = 0
        self.lost = 0
        self._every = Every(every_s, self.flush, "comparisons")

    def add(self, comparison: Comparison) -> None:
        """Take a record; written within a second or so. Counted as `lost` where too many wait for the database."""
        with self._guard:
            if len(self._waiting) < WAITING_MAX:
                self._waiting.append(comparison)
            else:
                self.lost += 1

    def write(self, records: Sequence[Comparison]) -> int:
        """Write records now; those whose id is known already stay as they are. Returns how many are new.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database is away; nothing of the last batch is written.
        """
        new = 0
        for start in range(0, len(records), BATCH_MAX):
            batch = {record.id: record for record in records[start : start + BATCH_MAX]}
            with write_transaction(self._engine) as connection:
                known = set(connection.execute(select(comparisons.c.id).where(comparisons.c.id.in_(batch))).scalars())
                rows = [_row(record) for record in batch.values() if record.id not in known]
                if rows:
                    connection.execute(insert(comparisons), rows)
            new += len(rows)
        self._written += new
        if self._written >= self._kept_max // 20:
            self._written = 0
            self._make_room()
        return new

    def flush(self) -> None:
        """Write everything that waits now; what comes meanwhile waits for the next time.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database is away; what could not be written waits on.
        """
        with self._flushing:
            for _ in range(0, len(self._waiting), BATCH_MAX):
                batch = self._waiting[:BATCH_MAX]
                self.write(batch)
                with self._guard:
                    del self._waiting[: len(batch)]

    def read(
        self,
        *,
        feature: str | None = None,
        origins: Collection[Origin] | None = None,
        source: str | None = None,
        since: datetime | None = None,
        limit: int = 20_000,
    ) -> list[Comparison]:
        """The latest records that fit, oldest first."""
        found = select(comparisons.c.record).where(*_fitting(feature, origins, source, since))
        with self._engine.connect() as connection:
            rows = connection.execute(found.order_by(comparisons.c.at_us.desc(), comparisons.c.id.desc()).limit(limit)).scalars()
            return [Comparison.from_line(row) for row in rows][::-1]

    def stream(self, *, feature: str | None = None, source: str | None = None, page: int = 1_000) -> Iterator[Comparison]:
        """All records that fit, by id (which is by time), a page at a time: for an export."""
        last = ""
        while True:
            found = select(comparisons.c.id, comparisons.c.record).where(comparisons.c.id > last, *_fitting(feature, None, source, None))
            with self._engine.connect() as connection:
                rows = connection.execute(found.order_by(comparisons.c.id).limit(page)).all()
            for row in rows:
                yield Comparison.from_line(row.record)
            if len(rows) < page:
                return
            last = rows[-1].id

    def get(self, id_: str) -> Comparison:
        """One record.

        Raises:
            UnknownComparison: there is none.
        """
        with self._engine.connect() as connection:
            return _one(connection, id_)

    def of_request(self, request_id: str) -> list[Comparison]:
        """What came of one client request."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(comparisons.c.record).where(comparisons.c.request_id == request_id)).scalars()
            return [Comparison.from_line(row) for row in rows]

    def counts(self) -> dict[tuple[str, Origin], int]:
        """How many records there are, by feature and origin."""
        each = select(comparisons.c.feature, comparisons.c.origin, func.count()).group_by(comparisons.c.feature, comparisons.c.origin)
        with self._engine.connect() as connection:
            return {(feature, origin): count for feature, origin, count in connection.execute(each)}

    def judge(self, id_: str, provider: str, verdict: Verdict | None) -> Comparison:
        """Note a person's verdict on one provider's answer; None takes it back.

        Raises:
            UnknownComparison: see there.
        """

        def judged(record: Comparison) -> Comparison:
            if provider not in record.replies:
                raise UnknownComparison(f"{provider} has no reply in record {id_}")
            return replace(record, replies={**record.replies, provider: replace(record.replies[provider], verdict=verdict)})

        return self._change(id_, judged)

    def tell_truth(self, id_: str, truth: tuple[Found, ...] | None) -> Comparison:
        """Note what is really on the picture; None takes it back.

        Raises:
            UnknownComparison: see there.
        """
        return self._change(id_, lambda record: replace(record, truth=truth))

    def forget(self, digest: str) -> int:
        """Delete every record of a picture; returns how many there were."""
        with self._guard:
            self._waiting[:] = [record for record in self._waiting if record.digest != digest]
        with write_transaction(self._engine) as connection:
            return connection.execute(delete(comparisons).where(comparisons.c.digest == digest)).rowcount

    def close(self) -> None:
        """Write what waits, and end."""
        self._every.close()
        self._every.now()

    def _change(self, id_: str, change: Any) -> Comparison:
        with write_transaction(self._engine) as connection:
            changed: Comparison = change(_one(connection, id_))
            connection.execute(update(comparisons).where(comparisons.c.id == id_).values(record=changed.to_line()))
        return changed

    def _make_room(self) -> None:
        """Forget the oldest of the router's own beyond `kept_max`."""
        own = comparisons.c.origin.in_(_ROUTERS_OWN)
        edge = select(comparisons.c.at_us).where(own).order_by(comparisons.c.at_us.desc()).offset(self._kept_max).limit(1)
        with write_transaction(self._engine) as connection:
            oldest_kept_us = connection.execute(edge).scalar()
            if oldest_kept_us is not None:
                connection.execute(delete(comparisons).where(own, comparisons.c.at_us <= oldest_kept_us))


def _row(record: Comparison) -> dict[str, object]:
    return {
        "id": record.id,
        "at_us": to_us(record.at),
        "digest": record.digest,
        "feature": record.feature,
        "origin": record.origin,
        "source": record.source,
        "request_id": record.request_id,
        "record": record.to_line(),
    }


def _fitting(
    feature: str | None, origins: Collection[Origin] | None, source: str | None, since: datetime | None
) -> list[ColumnElement[bool]]:
    table = comparisons.c
    conditions = [] if feature is None else [table.feature == feature]
    conditions += [] if origins is None else [table.origin.in_(origins)]
    conditions += [] if source is None else [table.source == source]
    return conditions + ([] if since is None else [table.at_us >= to_us(since)])


def _one(connection: Connection, id_: str) -> Comparison:
    row = connection.execute(select(comparisons.c.record).where(comparisons.c.id == id_)).scalar()
    if row is None:
        raise UnknownComparison(f"there is no comparison record {id_}")
    return Comparison.from_line(row)
