"""Holds the latest pictures and answers against the reference, in one process of many, and tells what has moved."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from cost.database import write_transaction
from cost.every import Every
from cost.ledger.times import from_us, to_us
from gateway.ids import new_id
from gateway.monitoring.drift import CHECKED_EVERY_S, REFERENCE, WINDOWS, Observation, Shift, is_alarming, shifts
from gateway.monitoring.lease import Lease
from gateway.monitoring.numbers import counter, gauge
from gateway.monitoring.quality import read_seen, write_seen
from gateway.monitoring.schema import alarms, observations, references
from gateway.webhook import Webhook

log = logging.getLogger(__name__)

ALARMS = counter("gateway_drift_alarms_total", "Properties of pictures or answers that have moved.", "provider", "feature", "property")
DISTANCE = gauge(
    "gateway_drift_distance", "How far a property is from its reference, 0 to 1.", "provider", "feature", "property", across="mostrecent"
)
OPEN = gauge("gateway_drift_open", "Properties that have moved and are neither back nor accepted.", across="mostrecent")

_KEPT = 2_000
"""Latest pictures of a stream; older ones make room."""

_BACK_TO_NORMAL = 0.01
_MOVED_SHOWN = 24


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that has moved.

    Attributes:
        at: when it was noticed.
        kind: `drift` or `canary`.
        name: the property.
        told: the facts: distance, p_value, window, before, now, label, and `moved`: digests of the pictures that moved it.
        ended_at: when it was back to normal, or accepted.
    """

    id: str
    at: datetime
    kind: str
    provider: str
    feature: str
    name: str
    told: dict[str, Any]
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Stream:
    """One provider's answers to one feature.

    Attributes:
        pictures: seen since its reference began.
        watched: whether the reference is complete.
        latest: how far each property was from it when that was last looked at.
    """

    provider: str
    feature: str
    pictures: int
    watched: bool
    latest: tuple[Shift, ...]


class QualityWatch:
    """One a process; of many, the one that holds the lease works. `close` it."""

    def __init__(self, engine: Engine, webhook: Webhook, *, every_s: float = CHECKED_EVERY_S, reference: int = REFERENCE) -> None:
        """Watch what `QualityNotes` writes into this database, and tell `webhook`.

        Args:
            engine: of the database.
            webhook: who is told.
            every_s: seconds between two looks; the level is for no less than `CHECKED_EVERY_S`.
            reference: pictures in a reference.
        """
        self._engine, self._webhook, self._reference = engine, webhook, reference
        self._lease = Lease(engine, "quality", 6 * every_s + 30)
        self._seen_until: dict[tuple[str, str], int] = {}
        self._every = Every(every_s, self._check_if_mine, "quality")

    def check(self) -> list[Alarm]:
        """Look at every stream that has further pictures; returns what is new and alarming.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database is away.
        """
        raised = []
        with self._engine.connect() as connection:
            newest = sa.select(observations.c.provider, observations.c.feature, sa.func.max(observations.c.id))
            streams = connection.execute(newest.group_by(observations.c.provider, observations.c.feature)).all()
        for provider, feature, last_id in streams:
            if self._seen_until.get((provider, feature)) != last_id:
                raised += self._check_stream(provider, feature)
                self._seen_until[provider, feature] = last_id
        self._tell()
        return raised

    def accept(self, provider: str, feature: str) -> None:
        """What comes from now on is the new normal: its alarms end, and the next pictures make a new reference."""
        stream = (references.c.provider == provider, references.c.feature == feature)
        mine = (observations.c.provider == provider, observations.c.feature == feature)
        open_alarms = (alarms.c.provider == provider, alarms.c.feature == feature, alarms.c.kind == "drift", alarms.c.ended_at_us.is_(None))
        with write_transaction(self._engine) as connection:
            after_id = connection.execute(sa.select(sa.func.max(observations.c.id)).where(*mine)).scalar() or 0
            fresh = {"after_id": after_id, "last_id": None, "rows": None, "latest": None, "pictures": 0}
            connection.execute(sa.update(references).where(*stream).values(fresh))
            connection.execute(sa.update(alarms).where(*open_alarms).values(ended_at_us=_now_us()))

    def streams(self) -> list[Stream]:
        """Every stream, by name."""
        table = references.c
        with self._engine.connect() as connection:
            columns = (table.provider, table.feature, table.pictures, table.last_id, table.latest)
            rows = connection.execute(sa.select(*columns).order_by(table.provider, table.feature)).all()
        latest = [tuple(Shift(**one) for one in json.loads(row.latest or "[]")) for row in rows]
        return [
            Stream(row.provider, row.feature, row.pictures, row.last_id is not None, moved) for row, moved in zip(rows, latest, strict=True)
        ]

    def alarms(self, limit: int = 50) -> list[Alarm]:
        """The latest alarms, newest first."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(alarms).order_by(alarms.c.at_us.desc()).limit(limit)).all()
        return [_alarm(row) for row in rows]

    def close(self) -> None:
        """Stop, and let another process go on."""
        self._every.close()
        try:
            self._lease.give_back()
        except SQLAlchemyError:
            return  # it ends by itself

    def _check_if_mine(self) -> None:
        if self._lease.hold():
            self.check()

    def _check_stream(self, provider: str, feature: str) -> list[Alarm]:
        reference, last_id = self._reference_of(provider, feature)
        if not reference:
            return []
        latest = self._rows(provider, feature, last_id, max(WINDOWS), newest=True)
        moved = shifts(reference, [seen for _, seen in latest])
        self._keep_latest(provider, feature, last_id, moved)
        return self._raise(provider, feature, moved)

    def _reference_of(self, provider: str, feature: str) -> tuple[list[Observation], int]:
        """The stream's reference and its last picture's id; empty while there are too few pictures for one."""
        stream = (references.c.provider == provider, references.c.feature == feature)
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(references).where(*stream)).one_or_none()
        if row is not None and row.last_id is not None:
            return [read_seen(one["digest"], one["seen"]) for one in json.loads(row.rows)], row.last_id
        after_id = 0 if row is None else row.after_id
        first = self._rows(provider, feature, after_id, self._reference)
        complete = len(first) == self._reference
        values: dict[str, Any] = {"after_id": after_id, "pictures": len(first)}
        if complete:
            rows = [{"digest": seen.digest, "seen": write_seen(seen)} for _, seen in first]
            values |= {"last_id": first[-1][0], "rows": json.dumps(rows)}
        with write_transaction(self._engine) as connection:
            if row is None:
                connection.execute(sa.insert(references).values(provider=provider, feature=feature, **values))
            else:
                connection.execute(sa.update(references).where(*stream).values(values))
        return ([seen for _, seen in first], first[-1][0]) if complete else ([], 0)

    def _rows(self, provider: str, feature: str, after_id: int, limit: int, *, newest: bool = False) -> list[tuple[int, Observation]]:
        """Pictures after this one, oldest first: the first of them, or the newest."""
        table = observations.c
        mine = (table.provider == provider, table.feature == feature, table.id > after_id)
        found = sa.select(table.id, table.digest, table.seen).where(*mine)
        with self._engine.connect() as connection:
            rows = connection.execute(found.order_by(table.id.desc() if newest else table.id).limit(limit)).all()
        return [(row.id, read_seen(row.digest, row.seen)) for row in (rows[::-1] if newest else rows)]

    def _keep_latest(self, provider: str, feature: str, last_id: int, moved: Sequence[Shift]) -> None:
        stream = (references.c.provider == provider, references.c.feature == feature)
        mine = (observations.c.provider == provider, observations.c.feature == feature)
        told = json.dumps([asdict(one) | {"moved": []} for one in moved])
        edge = sa.select(observations.c.id).where(*mine).order_by(observations.c.id.desc()).offset(_KEPT).limit(1)
        with write_transaction(self._engine) as connection:
            pictures = sa.select(sa.func.count()).where(*mine, observations.c.id > last_id)
            count = self._reference + (connection.execute(pictures).scalar() or 0)
            connection.execute(sa.update(references).where(*stream).values(latest=told, pictures=count))
            oldest = connection.execute(edge).scalar()
            if oldest is not None:
                connection.execute(sa.delete(observations).where(*mine, observations.c.id <= oldest))
        for one in moved:
            DISTANCE.set(one.distance, provider=provider, feature=feature, property=one.name)

    def _raise(self, provider: str, feature: str, moved: Sequence[Shift]) -> list[Alarm]:
        """End what is back to normal, and begin what is alarming and was not yet."""
        mine = (alarms.c.provider == provider, alarms.c.feature == feature, alarms.c.kind == "drift", alarms.c.ended_at_us.is_(None))
        raised = []
        with write_transaction(self._engine) as connection:
            known = {row.property: row.id for row in connection.execute(sa.select(alarms.c.property, alarms.c.id).where(*mine))}
            for one in moved:
                if one.name in known and one.p_value > _BACK_TO_NORMAL:
                    connection.execute(sa.update(alarms).where(alarms.c.id == known[one.name]).values(ended_at_us=_now_us()))
                elif one.name not in known and is_alarming(one):
                    told = asdict(one) | {"moved": list(one.moved[:_MOVED_SHOWN])}
                    raised.append(raise_alarm(connection, "drift", provider, feature, one.name, told))
        for alarm in raised:
            ALARMS.add(provider=provider, feature=feature, property=alarm.name)
        return raised

    def _tell(self) -> None:
        """Post what nobody has taken yet."""
        waiting = sa.select(alarms).where(alarms.c.delivered_at_us.is_(None)).order_by(alarms.c.at_us).limit(20)
        with self._engine.connect() as connection:
            due = [_alarm(row) for row in connection.execute(waiting)]
            OPEN.set(connection.execute(sa.select(sa.func.count()).where(alarms.c.ended_at_us.is_(None))).scalar() or 0)
        for alarm in due:
            if not self._webhook.post(_message(alarm), {"alarm": alarm.id}):
                return
            with write_transaction(self._engine) as connection:
                connection.execute(sa.update(alarms).where(alarms.c.id == alarm.id).values(delivered_at_us=_now_us()))


def raise_alarm(connection: sa.Connection, kind: str, provider: str, feature: str, name: str, told: dict[str, Any]) -> Alarm:
    """Note something that has moved, and log it. The webhook gets it with the next look."""
    alarm = Alarm(new_id(), datetime.now(UTC), kind, provider, feature, name, told, None)
    row = {"id": alarm.id, "at_us": to_us(alarm.at), "kind": kind, "provider": provider, "feature": feature, "property": name}
    connection.execute(sa.insert(alarms).values(**row, told=json.dumps(told)))
    facts = {fact: value for fact, value in told.items() if fact not in {"moved", "name"}}
    where = {"provider": provider, "feature": feature, "property": name}
    log.warning("quality.moved", extra={**facts, "alarm": alarm.id, "kind": kind, **where})
    return alarm


def _message(alarm: Alarm) -> bytes:
    """What the webhook gets: the same alarm always has the same body and `id`."""
    message = {
        "id": alarm.id,
        "event": f"quality.{alarm.kind}",
        "provider": alarm.provider,
        "feature": alarm.feature,
        "property": alarm.name,
        "noticed_at": alarm.at.isoformat(),
        **{name: value for name, value in alarm.told.items() if name != "name"},
    }
    return json.dumps(message, separators=(",", ":")).encode()


def _alarm(row: Any) -> Alarm:
    ended = None if row.ended_at_us is None else from_us(row.ended_at_us)
    return Alarm(row.id, from_us(row.at_us), row.kind, row.provider, row.feature, row.property, json.loads(row.told), ended)


def _now_us() -> int:
    return to_us(datetime.now(UTC))
