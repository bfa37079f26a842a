"""Idempotency keys: a repeated request gets the first one's answer and is charged once.

    (none) -> running -> answered -> (gone after 24 h)

A key is claimed in the transaction of its request's hold, or earlier by a request that may need no hold. A claim whose owner died is free
again once the owner's time is over; the new owner needs a hold of its own.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

from sqlalchemy import Connection, bindparam, delete, select, tuple_, update

from cost.ledger.errors import AlreadyAnswered, LedgerError, RequestMismatch, RequestRunning
from cost.ledger.schema import idempotency_keys
from cost.ledger.stores import Store
from cost.ledger.terms import IdempotencyKey, SavedAnswer
from cost.ledger.times import HOUR_US, SECOND_US, duration_us

KEPT_US = 24 * HOUR_US
KEY_CHARS_MAX = 255
_MARGIN_US = 30 * SECOND_US

_table = idempotency_keys
_ID = (_table.c.client, _table.c.key)
_SELECT = select(_table).where(tuple_(*_ID).in_(bindparam("ids", expanding=True))).order_by(*_ID).with_for_update()
_IS_ID = (_table.c.client == bindparam("b_client"), _table.c.key == bindparam("b_key"))
_FIELDS = ("fingerprint", "request_id", "status", "body", "deadline_at_us", "expires_at_us")
_UPDATE = update(_table).where(*_IS_ID).values({name: bindparam(name) for name in _FIELDS})
_DELETE = delete(_table).where(*_IS_ID)
DELETE_EXPIRED = delete(_table).where(_table.c.expires_at_us <= bindparam("now_us"))


@dataclass(frozen=True, slots=True)
class Claim:
    """A request that wants to be the one its key stands for, for at most `timeout_s` seconds."""

    key: IdempotencyKey
    request_id: str
    timeout_s: float


@dataclass(frozen=True, slots=True)
class _KeyRow:
    client: str
    key: str
    fingerprint: str
    request_id: str
    status: int | None
    body: bytes | None
    deadline_at_us: int
    expires_at_us: int


class KeyStatements:
    """Built once."""

    def __init__(self, store: Store) -> None:
        self.insert = store.insert_new(idempotency_keys)


class KeyRows:
    """The keys that a batch touches, locked."""

    def __init__(self, statements: KeyStatements) -> None:
        self._statements = statements
        self._rows: dict[tuple[str, str], _KeyRow] = {}
        self._changed: set[tuple[str, str]] = set()

    def read(self, connection: Connection, claims: Sequence[Claim], keys: Sequence[IdempotencyKey]) -> None:
        """Lock and read. A key that nobody has yet is written down as free, so that it can be locked like the others."""
        claimed = sorted({_id(claim.key) for claim in claims})
        ids = sorted({*claimed, *map(_id, keys)})
        if claimed:
            connection.execute(self._statements.insert, [asdict(_free(id_)) for id_ in claimed])
        if ids:
            self._rows = {(row.client, row.key): _KeyRow(*row) for row in connection.execute(_SELECT, {"ids": ids})}

    @contextmanager
    def claimed(self, claim: Claim, now_us: int) -> Iterator[None]:
        """Claim for the block; when it is refused something else, the key is as it was before."""
        before = self._rows[_id(claim.key)]
        self.claim(claim, now_us)
        try:
            yield
        except LedgerError:
            self._put(before)
            raise

    def claim(self, claim: Claim, now_us: int) -> None:
        """Make a request the owner of its key.

        Raises:
            RequestRunning, RequestMismatch, AlreadyAnswered: see there.
        """
        row = self._rows[_id(claim.key)]
        if row.expires_at_us > now_us:
            if row.fingerprint != claim.key.fingerprint:
                raise RequestMismatch("this Idempotency-Key came with another request before")
            if row.status is not None and row.body is not None:
                raise AlreadyAnswered(SavedAnswer(row.request_id, row.status, row.body))
            if row.request_id != claim.request_id and row.deadline_at_us > now_us:
                raise RequestRunning(retry_after_s=-(-(row.deadline_at_us - now_us) // SECOND_US))
        deadline = now_us + duration_us(claim.timeout_s) + _MARGIN_US
        self._put(_KeyRow(*_id(claim.key), claim.key.fingerprint, claim.request_id, None, None, deadline, now_us + KEPT_US))

    def answer(self, key: IdempotencyKey, answer: SavedAnswer) -> bool:
        """Save the owner's answer; False: it does not own the key, or has answered."""
        row = self._owned(key, answer.request_id)
        if row is None:
            return False
        self._put(replace(row, status=answer.status, body=answer.body))
        return True

    def forget(self, key: IdempotencyKey, request_id: str) -> bool:
        """Free the owner's key: nothing was done under it. False: it does not own the key, or has answered."""
        if self._owned(key, request_id) is None:
            return False
        self._put(_free(_id(key)))
        return True

    def write(self, connection: Connection) -> None:
        """Everything that changed; a key that is free again leaves."""
        for id_ in sorted(self._changed):
            row = self._rows[id_]
            where = {"b_client": row.client, "b_key": row.key}
            if row.expires_at_us == 0:
                connection.execute(_DELETE, where)
            else:
                connection.execute(_UPDATE, where | {name: getattr(row, name) for name in _FIELDS})

    def _owned(self, key: IdempotencyKey, request_id: str) -> _KeyRow | None:
        row = self._rows.get(_id(key))
        return row if row is not None and row.request_id == request_id and row.status is None else None

    def _put(self, row: _KeyRow) -> None:
        id_ = (row.client, row.key)
        self._rows[id_] = row
        self._changed.add(id_)


def _id(key: IdempotencyKey) -> tuple[str, str]:
    return key.client, key.key


def _free(id_: tuple[str, str]) -> _KeyRow:
    return _KeyRow(*id_, "", "", None, None, 0, 0)
