"""API keys: `vg_ID_SECRET`. The secret is shown once and kept as its SHA-256; it is 256 random bits, so a slow hash would add nothing."""

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, get_args

import sqlalchemy as sa

from cost.database import write_transaction
from cost.ledger.terms import tags_text
from gateway.reads import BoundedReads, ReadTimedOut
from gateway.schema import keys as key_table

Role = Literal["app", "finance", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
BOOTSTRAP = "bootstrap"
_KNOWN_FOR_S = 5.0
"""Seconds a process trusts what it read: a key revoked by another process works this much longer."""


@dataclass(frozen=True, slots=True)
class Key:
    """Who calls.

    Attributes:
        id: public, a part of the token.
        name: the client in logs and in the ledger.
        role: `app` calls the API, `finance` reads and sets money, `admin` may do everything.
        tags: carried into the ledger with every request of this key.
        requests_per_s, pixels_per_s: what it may send; None: as much as it likes.
    """

    id: str
    name: str
    role: Role
    tags: Mapping[str, str] = field(default_factory=dict)
    created_at: datetime | None = None
    requests_per_s: int | None = None
    pixels_per_s: int | None = None

    @property
    def limits(self) -> str:
        """What it may send, in words; empty: as much as it likes."""
        told = {"requests": self.requests_per_s, "pixels": self.pixels_per_s}
        return ", ".join(f"{most:,} {what}/s" for what, most in told.items() if most is not None)


_BOOTSTRAP_KEY = Key(BOOTSTRAP, BOOTSTRAP, "admin")


class KeyNameTaken(ValueError):
    """A key of this name is in use."""


class Keys:
    """The keys of one database, remembered for a few seconds so that a request asks the database rarely."""

    def __init__(
        self,
        engine: sa.Engine,
        bootstrap: str | None = None,
        *,
        reads: BoundedReads | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Use the keys in this database, and `bootstrap` beside them: an admin key that is never stored."""
        self._engine = engine
        self._reads = reads or BoundedReads()
        self._bootstrap_sha256 = _sha256(bootstrap) if bootstrap else None
        self._monotonic = monotonic
        self._known: dict[str, tuple[float, tuple[Key, str]]] = {}
        self._lock = threading.Lock()

    def create(
        self,
        name: str,
        role: Role,
        tags: Mapping[str, str] | None = None,
        *,
        requests_per_s: int | None = None,
        pixels_per_s: int | None = None,
    ) -> tuple[Key, str]:
        """A new key and its token, which can never be shown again.

        Raises:
            KeyNameTaken: a key of this name is in use.
            ValueError: a tag that the ledger could not tell from another, or the name of the bootstrap key.
        """
        if name == BOOTSTRAP:
            raise KeyNameTaken(f"{BOOTSTRAP!r} names the key of GATEWAY_ADMIN_KEY. Choose another name.")
        tags_text(tags or {})
        key = Key(secrets.token_hex(6), name, role, dict(tags or {}), datetime.now(UTC), requests_per_s, pixels_per_s)
        token = f"vg_{key.id}_{secrets.token_urlsafe(32)}"
        row = {
            "id": key.id,
            "name": name,
            "role": role,
            "secret_sha256": _sha256(token),
            "tags": key.tags,
            "created_at": key.created_at,
            "requests_per_s": requests_per_s,
            "pixels_per_s": pixels_per_s,
        }
        try:
            with write_transaction(self._engine) as connection:
                connection.execute(key_table.insert().values(row))
        except sa.exc.IntegrityError as error:
            raise KeyNameTaken(f"A key named {name!r} is in use. Revoke it first, or choose another name.") from error
        return key, token

    def find(self, token: str) -> Key | None:
        """Whose token this is; None for every kind of wrong token. Compared in constant time."""
        digest = _sha256(token)
        if self._bootstrap_sha256 and hmac.compare_digest(digest, self._bootstrap_sha256):
            return _BOOTSTRAP_KEY
        scheme, _, rest = token.partition("_")
        key_id = rest.partition("_")[0]
        stored = self._stored(key_id) if scheme == "vg" and key_id else None
        if stored is None or not hmac.compare_digest(digest, stored[1]):
            return None
        return stored[0]

    def in_use(self, key_id: str) -> tuple[Key, str] | None:
        """A key that has not been revoked, and the SHA-256 of its secret: for who remembers whom it has let in."""
        if key_id == BOOTSTRAP:
            return (_BOOTSTRAP_KEY, self._bootstrap_sha256) if self._bootstrap_sha256 else None
        return self._stored(key_id)

    def all(self) -> list[Key]:
        """Every key in use, oldest first."""
        query = key_table.select().where(key_table.c.revoked_at.is_(None)).order_by(key_table.c.created_at)
        with self._engine.connect() as connection:
            return [_key(row) for row in connection.execute(query)]

    def revoke(self, name_or_id: str) -> bool:
        """Make a key useless, at once here and within five seconds in other processes. False if there is none."""
        named = sa.or_(key_table.c.id == name_or_id, key_table.c.name == name_or_id)
        update = key_table.update().where(named, key_table.c.revoked_at.is_(None)).values(revoked_at=datetime.now(UTC))
        with write_transaction(self._engine) as connection:
            revoked = connection.execute(update).rowcount
        with self._lock:
            self._known.clear()
        return revoked > 0

    def _stored(self, key_id: str) -> tuple[Key, str] | None:
        known = self._known.get(key_id)
        if known and known[0] > self._monotonic():
            return known[1]
        try:
            row = self._reads.read(lambda: self._row(key_id))
        except (sa.exc.SQLAlchemyError, ReadTimedOut):
            if known is None:
                raise
            with self._lock:  # the database is away: those who were let in a moment ago stay in
                self._known[key_id] = (self._monotonic() + _KNOWN_FOR_S, known[1])
            return known[1]
        stored = (_key(row), row.secret_sha256) if row else None
        with self._lock:
            if stored:
                self._known[key_id] = (self._monotonic() + _KNOWN_FOR_S, stored)
            else:  # guesses must not fill the memory, and a revoked key must not come back when the database goes away
                self._known.pop(key_id, None)
        return stored

    def _row(self, key_id: str) -> Any:
        query = key_table.select().where(key_table.c.id == key_id, key_table.c.revoked_at.is_(None))
        with self._engine.connect() as connection:
            return connection.execute(query).one_or_none()


def ensure_admin_key(keys: Keys, bootstrap: str | None) -> str | None:
    """The token of a new admin key at the first start of a database; None later, or where the operator brought a key."""
    if bootstrap or keys.all():
        return None
    try:
        return keys.create("admin", "admin")[1]
    except KeyNameTaken:  # another process started in the same moment, and prints it
        return None


def _key(row: sa.Row[Any]) -> Key:
    created_at = row.created_at.replace(tzinfo=UTC)  # SQLite keeps no zone, PostgreSQL tells UTC
    return Key(row.id, row.name, row.role, row.tags, created_at, row.requests_per_s, row.pixels_per_s)


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
