"""Learned policies in the database: every version is kept, one of each feature is in use, and going back is one row's change."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, Row, func, insert, select, update

from cost.database import write_transaction
from cost.escalation.artefact import BadArtefact, from_json, to_json
from cost.escalation.policy import Policy
from cost.escalation.schema import policies
from cost.ledger.times import from_us, to_us, utc_now

KEPT = 20  # versions of a feature

_FACTS = [column for column in policies.c if column.name != "artefact"]


class UnknownVersion(LookupError):
    """There is no policy of this version."""


@dataclass(frozen=True, slots=True)
class Version:
    """What is known of a policy without reading it.

    Attributes:
        id: its version, counted over all features.
        used_at: since when it is in use, if it is.
        records: how many pictures it was fitted on.
        target: `truth`, or `agreement` with other providers.
        note: what `tune` found, for people.
    """

    id: int
    feature: str
    made_at: datetime
    used_at: datetime
    records: int
    target: str
    note: str
    in_use: bool


class PolicyShelf:
    """The policies of one database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def put(self, feature: str, policy: Policy, note: str = "") -> int:
        """Keep a new version and use it from now on: running gateways take it within seconds. The oldest make room."""
        text, now = json.dumps(to_json(policy), separators=(",", ":")), utc_now()
        row = {"feature": feature, "made_at_us": to_us(now), "records": policy.records, "target": policy.target, "note": note}
        with write_transaction(self._engine) as connection:
            used = self._next_use(connection, feature, to_us(now))
            made = connection.execute(insert(policies).returning(policies.c.id), {**row, "used_at_us": used, "artefact": text}).scalar_one()
            newest = select(policies.c.id).where(policies.c.feature == feature).order_by(policies.c.used_at_us.desc()).limit(KEPT)
            kept = list(connection.execute(newest).scalars())
            connection.execute(policies.delete().where(policies.c.feature == feature, policies.c.id.not_in(kept)))
        return int(made)

    def use(self, version: int) -> Version:
        """Use this version again.

        Raises:
            UnknownVersion: see there.
        """
        with write_transaction(self._engine) as connection:
            feature = connection.execute(select(policies.c.feature).where(policies.c.id == version)).scalar()
            if feature is None:
                raise UnknownVersion(f"there is no policy of version {version}")
            used = self._next_use(connection, feature, to_us(utc_now()))
            connection.execute(update(policies).where(policies.c.id == version).values(used_at_us=used))
        return next(one for one in self.versions(feature) if one.id == version)

    def versions(self, feature: str | None = None) -> list[Version]:
        """Every version that is kept, of one feature or of all: the newest first."""
        query = select(*_FACTS).order_by(policies.c.id.desc())
        with self._engine.connect() as connection:
            rows = connection.execute(query if feature is None else query.where(policies.c.feature == feature)).all()
        in_use = set(self._in_use(rows).values())
        return [
            Version(r.id, r.feature, from_us(r.made_at_us), from_us(r.used_at_us), r.records, r.target, r.note, r.id in in_use)
            for r in rows
        ]

    def in_use(self) -> dict[str, int]:
        """Feature -> version. Cheap: asked every few seconds by every process."""
        with self._engine.connect() as connection:
            return self._in_use(connection.execute(select(policies.c.feature, policies.c.id, policies.c.used_at_us)).all())

    def read(self, version: int) -> Policy:
        """One version.

        Raises:
            UnknownVersion: see there.
            BadArtefact: it was written by another release, or is damaged.
        """
        with self._engine.connect() as connection:
            text = connection.execute(select(policies.c.artefact).where(policies.c.id == version)).scalar()
        if text is None:
            raise UnknownVersion(f"there is no policy of version {version}")
        try:
            artefact = json.loads(text)
        except ValueError as error:
            raise BadArtefact(f"damaged: {error}") from error
        return from_json(artefact)

    @staticmethod
    def _in_use(rows: Any) -> dict[str, int]:
        latest: dict[str, Row[Any]] = {}
        for row in rows:
            if row.feature not in latest or row.used_at_us > latest[row.feature].used_at_us:
                latest[row.feature] = row
        return {feature: row.id for feature, row in latest.items()}

    @staticmethod
    def _next_use(connection: Any, feature: str, now_us: int) -> int:
        """Later than any other, also where the clock stands still or was set back."""
        latest = connection.execute(select(func.max(policies.c.used_at_us)).where(policies.c.feature == feature)).scalar()
        return max(now_us, (latest or 0) + 1)
