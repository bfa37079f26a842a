"""Identical requests of all processes that share a database, with or without a Redis: one pays, the others wait for what it brings."""

import logging
import os
import secrets
import threading
import time
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from cost.every import Every
from cost.ledger import Ledger, LedgerUnavailable
from cost.ledger.flights import VALUE_BYTES_MAX, Boarded, Landed
from gateway.cache.flight import StillFlying
from gateway.reads import BoundedReads, ReadTimedOut

log = logging.getLogger(__name__)

LEASE_S = 3.0
"""A process that has not said for so long that it lives is dead: one of those that wait asks in its place."""

_LOOK_S = (0.01, 0.1)
"""Between two looks at a flight of another process: at first, and later."""


@dataclass(frozen=True, slots=True)
class Brought:
    """What another process has brought, and whether this one waited for it."""

    value: bytes
    waited: bool


class SharedFlights:
    """Those of one process among all others. Made after fork, shared by its threads."""

    def __init__(self, ledger: Ledger, reads: BoundedReads, *, good_s: float, lease_s: float = LEASE_S) -> None:
        """Agree with the others in the ledger's database. What is brought is good for `good_s` seconds."""
        self._good_s = good_s
        self._desk = ledger.flights
        self._reads = reads
        self._lease_s = lease_s
        self._owner = f"{os.getpid()}-{secrets.token_hex(8)}"  # the number helps who looks into the table
        self._flying: dict[str, int] = {}
        self._guard = threading.Lock()
        self._renewals = Every(lease_s / 4, self._renew, "flights")

    def board(self, key: str, deadline: float) -> "Brought | Ticket":
        """What another brought; or a ticket: this process asks, and must `land` it.

        Without the database everybody asks: nobody can pay then anyway.

        Raises:
            StillFlying: another asks, and was not back in time.
        """
        waited = False
        look_s = _LOOK_S[0]
        while True:
            try:
                flight = self._desk.board(key, self._owner, self._lease_s, max(deadline - time.monotonic(), 0.0))
            except LedgerUnavailable:
                if waited and time.monotonic() >= deadline:  # so have others, of whom one may have boarded
                    raise StillFlying from None
                return Ticket(self, key, None)
            if isinstance(flight, Boarded):
                with self._guard:
                    self._flying[key] = flight.fence
                return Ticket(self, key, flight.fence)
            if isinstance(flight, Landed):
                return Brought(flight.value, waited)
            waited = True
            while self._is_flying(key):
                if time.monotonic() + look_s > deadline:
                    raise StillFlying
                time.sleep(look_s)
                look_s = min(look_s * 1.5, _LOOK_S[1])

    def land(self, key: str, fence: int, value: bytes | None) -> None:
        """Give the others what was brought; None, or more than they take: nothing, and one of them asks next."""
        with self._guard:
            if self._flying.get(key) == fence:  # else this process stalled, and has boarded again since
                del self._flying[key]
        try:
            if value is None or len(value) > VALUE_BYTES_MAX:
                self._desk.fail(key, self._owner, fence)
            else:
                self._desk.land(key, self._owner, fence, value, self._good_s)
        except LedgerUnavailable:
            log.warning("flight.not_landed")  # the others wait until its lease is over

    def discard(self, key: str) -> None:
        """Forget what another has brought: nobody can use it."""
        try:
            self._desk.discard(key)
        except LedgerUnavailable:
            log.debug("flight.not_discarded")

    def close(self) -> None:
        """Renew nothing any more."""
        self._renewals.close()

    def _is_flying(self, key: str) -> bool:
        try:
            return self._reads.read(lambda: self._desk.is_flying(key))
        except (SQLAlchemyError, ReadTimedOut, LedgerUnavailable):
            return True

    def _renew(self) -> None:
        with self._guard:
            keys = list(self._flying)
        if keys:
            self._desk.renew(keys, self._owner, self._lease_s)


@dataclass(frozen=True, slots=True)
class Ticket:
    """Whoever has it asks."""

    _flights: SharedFlights
    _key: str
    _fence: int | None

    def land(self, value: bytes | None) -> None:
        """See `SharedFlights.land`."""
        if self._fence is not None:
            self._flights.land(self._key, self._fence, value)
