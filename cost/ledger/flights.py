r"""Flights: one paid call for identical requests, over all processes that share the database. Whoever boards first asks; the others wait.

    (none) -> flying -> landed -> (gone within a minute)
                 \-> (none), where it failed; or another boards, once its process no longer says that it lives

A landed flight keeps what it brought for a minute at most, so that those who come a moment late need no other store to find it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, bindparam, delete, select, update

from cost.ledger.book import Book
from cost.ledger.schema import flights
from cost.ledger.stores import Store
from cost.ledger.times import SECOND_US, duration_us, to_us

LANDED_US = 60 * SECOND_US
VALUE_BYTES_MAX = 1 << 20
_WAIT_S = 1.0

_IS_KEY = flights.c.key == bindparam("b_key")
_IS_MINE = (_IS_KEY, flights.c.owner == bindparam("b_owner"), flights.c.fence == bindparam("b_fence"))
_FLYING = select(flights.c.until_us).where(_IS_KEY, flights.c.value.is_(None))
_LOCK = select(flights).where(_IS_KEY).with_for_update()
_NOBODYS = {"owner": "", "fence": 0, "until_us": 0, "value": None}
_BOARD = update(flights).where(_IS_KEY).values({name: bindparam(name) for name in ("owner", "fence", "until_us", "value")})
_LAND = update(flights).where(*_IS_MINE).values(owner="", until_us=bindparam("until_us"), value=bindparam("value"))
_FAIL = delete(flights).where(*_IS_MINE)
_DISCARD = delete(flights).where(_IS_KEY, flights.c.value.is_not(None))
_IS_OURS = (flights.c.owner == bindparam("b_owner"), flights.c.key.in_(bindparam("keys", expanding=True)))
_RENEW = update(flights).where(*_IS_OURS).values(until_us=bindparam("until_us"))
DELETE_EXPIRED = delete(flights).where(flights.c.until_us < bindparam("before_us"))


@dataclass(frozen=True, slots=True)
class Boarded:
    """The caller asks, and lands the flight under this fence. A later fence means that it was taken to be dead."""

    fence: int


@dataclass(frozen=True, slots=True)
class Flying:
    """Another asks."""


@dataclass(frozen=True, slots=True)
class Landed:
    """Another has asked a moment ago, and this is what it brought."""

    value: bytes


Flight = Boarded | Flying | Landed


class FlightDesk:
    """Where the processes that share a database agree. Part of the ledger, whose writer makes its transactions, none with an fsync.

    All but `is_flying` raise `LedgerUnavailable`, as the ledger does.
    """

    def __init__(self, engine: Engine, store: Store, alone: Callable[..., Any], now: Callable[[], datetime]) -> None:
        """`alone` runs work on the book in a transaction of its own; `now` is the ledger's time."""
        self._engine = engine
        self._insert = store.insert_new(flights)
        self._alone = alone
        self._now = now

    def board(self, key: str, owner: str, lease_s: float, within_s: float = math.inf) -> Flight:
        """Ask for all identical requests of all processes, or hear that another does or has done so.

        Args:
            key: SHA-256, in hex, of what they have in common.
            owner: this process.
            lease_s: how long the others believe that it lives, without a word of `renew`.
            within_s: of what use boarding is to the caller.
        """
        flight: Flight = self._alone(lambda book: self._board(book, key, owner, lease_s), wait_s=_WAIT_S, within_s=within_s)
        return flight

    def is_flying(self, key: str) -> bool:
        """Whether somebody who lives asks at this moment. Only looks: `board` has the last word.

        Raises:
            SQLAlchemyError, LedgerUnavailable: nobody can say.
        """
        with self._engine.connect() as connection:
            until_us: int | None = connection.execute(_FLYING, {"b_key": key}).scalar()
        return until_us is not None and until_us > to_us(self._now())

    def renew(self, keys: Sequence[str], owner: str, lease_s: float) -> None:
        """Say that the owner lives and flies these."""

        def work(book: Book) -> None:
            until_us = book.now_us + duration_us(lease_s)
            book.connection.execute(_RENEW, {"b_owner": owner, "keys": keys, "until_us": until_us})

        self._alone(work, wait_s=_WAIT_S)

    def land(self, key: str, owner: str, fence: int, value: bytes, good_s: float) -> None:
        """Leave what the flight has brought for `good_s` seconds, a minute at most. Does nothing where another has boarded since."""
        good_us = min(duration_us(good_s), LANDED_US)
        mine = {"b_key": key, "b_owner": owner, "b_fence": fence, "value": value}
        self._alone(lambda book: book.connection.execute(_LAND, mine | {"until_us": book.now_us + good_us}), wait_s=_WAIT_S)

    def fail(self, key: str, owner: str, fence: int) -> None:
        """It brought nothing: another may board at once."""
        mine = {"b_key": key, "b_owner": owner, "b_fence": fence}
        self._alone(lambda book: book.connection.execute(_FAIL, mine), wait_s=_WAIT_S)

    def discard(self, key: str) -> None:
        """Forget what has landed: whoever has read it can't use it."""
        self._alone(lambda book: book.connection.execute(_DISCARD, {"b_key": key}), wait_s=_WAIT_S)

    def _board(self, book: Book, key: str, owner: str, lease_s: float) -> Flight:
        now_us = book.now_us
        book.connection.execute(self._insert, {"key": key, **_NOBODYS})
        row = book.connection.execute(_LOCK, {"b_key": key}).one()
        if row.until_us > now_us:
            return Flying() if row.value is None else Landed(row.value)
        taken = {"owner": owner, "fence": row.fence + 1, "until_us": now_us + duration_us(lease_s), "value": None}
        book.connection.execute(_BOARD, {"b_key": key, **taken})
        return Boarded(row.fence + 1)


def delete_expired(book: Book) -> None:
    """Forget what landed long ago, and flights whose owner is long dead."""
    book.connection.execute(DELETE_EXPIRED, {"before_us": book.now_us - LANDED_US})
