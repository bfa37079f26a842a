"""Answers that may be asked for again by their id: written behind the request, without the picture, for a bounded time."""

import threading
import time
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Engine

from cost.database import insert_new, write_transaction
from cost.every import Every
from cost.ledger.times import to_us
from gateway.ids import made_at_s
from gateway.schema import answers

_EVERY_S = 0.25
_BATCH_MAX = 1_000
_WAITING_MAX = 5_000
_KEPT_MAX = 200_000
"""About a kilobyte each: two tenths of a gigabyte. The oldest make room, also before their days are over."""

_DEFLATED_FROM = 4_096
"""Bytes. To deflate less costs more than all else that is done for a hit."""

_CLEANED_EVERY_S = 300.0
_ON_ITS_WAY_S = 2.0
"""What another process answered so short a time ago may not be written yet: who asks for it waits until it is."""


class StoredAnswer(NamedTuple):
    """What a client was answered.

    Attributes:
        id: the answer's own.
        client: the name of the key that asked.
        digest: of the picture's bytes.
        body: the JSON that was sent.
        feedback: JSON of what the client thought of it, or None.
    """

    id: str
    client: str
    digest: str
    body: bytes
    feedback: str | None = None


class AnswerStore:
    """One a process, shared by its threads; `close` it. `add` never waits and never fails."""

    def __init__(
        self, engine: Engine, days: int, *, kept_max: int = _KEPT_MAX, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """Keep answers in this database for so many days; 0: none."""
        self._engine, self._days, self._kept_max, self._now = engine, days, kept_max, now
        self._waiting: dict[str, StoredAnswer] = {}
        self._guard = threading.Lock()
        self._flushing = threading.Lock()
        self._clean_at = 0.0
        self.lost = 0
        self._every = Every(_EVERY_S, self._write_and_clean, "answers")

    def add(self, id_: str, client: str, digest: str, body: bytes) -> None:
        """Take an answer. Counted as `lost` where too many wait for the database."""
        if not self._days:
            return
        with self._guard:
            if len(self._waiting) < _WAITING_MAX:
                self._waiting[id_] = StoredAnswer(id_, client, digest, body)
            else:
                self.lost += 1

    def find(self, id_: str, client: str) -> StoredAnswer | None:
        """A client's answer; None where there is none (any more), or it is another's.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database is away.
        """
        waiting = self._waiting.get(id_)
        if waiting is not None:
            return waiting if waiting.client == client else None
        while True:
            found = self._stored(id_)
            if found is not None:
                return found if found.client == client else None
            made_at = made_at_s(id_)
            if made_at is None or not 0 <= self._now().timestamp() - made_at < _ON_ITS_WAY_S:
                return None
            time.sleep(_EVERY_S)

    def note_feedback(self, id_: str, feedback: str) -> None:
        """Keep what the client thought of it, instead of what it thought before.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database is away.
        """
        self.flush()
        with write_transaction(self._engine) as connection:
            connection.execute(sa.update(answers).where(answers.c.id == id_).values(feedback=feedback))

    def flush(self) -> None:
        """Write everything that waits now. What comes meanwhile waits for the next time: few answers a transaction cost more than all else.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database is away; what could not be written waits on.
        """
        with self._flushing:
            with self._guard:  # requests add to them at any moment
                waiting = list(self._waiting.values())
            for first in range(0, len(waiting), _BATCH_MAX):
                batch = waiting[first : first + _BATCH_MAX]
                at_us = to_us(self._now())
                rows = [
                    {"id": one.id, "client": one.client, "digest": one.digest, "at_us": at_us, "body": _deflated(one.body)} for one in batch
                ]
                with write_transaction(self._engine) as connection:
                    connection.execute(insert_new(self._engine, answers), rows)
                with self._guard:
                    for one in batch:
                        self._waiting.pop(one.id, None)

    def clean(self) -> int:
        """Forget what is older than its days, and the oldest beyond what is kept; returns how many there were."""
        oldest_us = to_us(self._now() - timedelta(days=self._days))
        edge = sa.select(answers.c.at_us).order_by(answers.c.at_us.desc()).offset(self._kept_max).limit(1)
        with write_transaction(self._engine) as connection:
            beyond_us = connection.execute(edge).scalar()
            oldest_us = oldest_us if beyond_us is None else max(oldest_us, beyond_us)
            return connection.execute(sa.delete(answers).where(answers.c.at_us <= oldest_us)).rowcount

    def close(self) -> None:
        """Write what waits, and end."""
        self._every.close()
        self._every.now()

    def _stored(self, id_: str) -> StoredAnswer | None:
        table = answers.c
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(answers).where(table.id == id_)).one_or_none()
        oldest_us = to_us(self._now() - timedelta(days=self._days))
        if row is None or row.at_us <= oldest_us:
            return None
        return StoredAnswer(row.id, row.client, row.digest, _inflated(row.body), row.feedback)

    def _write_and_clean(self) -> None:
        if self._waiting:
            self.flush()
        if time.monotonic() >= self._clean_at:
            self._clean_at = time.monotonic() + _CLEANED_EVERY_S
            self.clean()


def _deflated(body: bytes) -> bytes:
    return zlib.compress(body, 1) if len(body) >= _DEFLATED_FROM else body


def _inflated(stored: bytes) -> bytes:
    """JSON begins with a brace, and what is deflated with 0x78 (RFC 1950, 2.2)."""
    return stored if stored.startswith(b"{") else zlib.decompress(stored)
