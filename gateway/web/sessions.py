"""Who is logged in: a random token in a cookie, its hash in the database, and behind it a key that must still be in use."""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from cost.database import write_transaction
from gateway.keys import Key, Keys
from gateway.schema import web_sessions

LASTS = timedelta(hours=12)
"""A working day: a session that is left open on some screen is worth nothing the next morning."""


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who logged in.

    Attributes:
        token: what the cookie holds; kept nowhere else.
        key: who that is.
    """

    token: str = field(repr=False)
    key: Key


class Sessions:
    """The sessions of one database, so that every replica knows them and a logout ends them everywhere.

    A row holds the hash of the token, and a proof of the key's secret that only the token's owner can check: who reads the database can
    neither take a session over nor guess at a key.
    """

    def __init__(self, engine: sa.Engine, keys: Keys, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._engine = engine
        self._keys = keys
        self._now = now

    def begin(self, api_key: str) -> Session | None:
        """A new session for the owner of this key; None where it is no valid key. Forgets those that are over."""
        key = self._keys.find(api_key)
        known = self._keys.in_use(key.id) if key else None
        if known is None:
            return None
        token, now = secrets.token_urlsafe(32), self._now()
        row = {"id_sha256": _sha256(token), "key_id": known[0].id, "key_proof": _proof(token, known[1])}
        with write_transaction(self._engine) as connection:
            connection.execute(web_sessions.delete().where(web_sessions.c.expires_at <= now))
            connection.execute(web_sessions.insert().values(row | {"created_at": now, "expires_at": now + LASTS}))
        return Session(token, known[0])

    def find(self, token: str) -> Session | None:
        """The session of this token; None once it has expired, was ended, or its key was revoked or replaced."""
        if not token:
            return None
        in_force = web_sessions.select().where(web_sessions.c.id_sha256 == _sha256(token), web_sessions.c.expires_at > self._now())
        with self._engine.connect() as connection:
            row = connection.execute(in_force).one_or_none()
        known = self._keys.in_use(row.key_id) if row else None
        if row is None or known is None or not hmac.compare_digest(_proof(token, known[1]), row.key_proof):
            return None
        return Session(token, known[0])

    def end(self, session: Session) -> None:
        """Log out."""
        with write_transaction(self._engine) as connection:
            connection.execute(web_sessions.delete().where(web_sessions.c.id_sha256 == _sha256(session.token)))


def form_token(secret: str) -> str:
    """What a form of the owner of this cookie carries: only our own pages can know it."""
    return hmac.new(secret.encode(), b"form", hashlib.sha256).hexdigest()


def _proof(token: str, secret_sha256: str) -> str:
    return hmac.new(token.encode(), secret_sha256.encode(), hashlib.sha256).hexdigest()


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
