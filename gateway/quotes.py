"""What calls would cost now, asked of the database about once a second and by one request at a time.

A quote decides whom to ask; the reservation, which counts the month's units in its own transaction, has the last word. So a second's age
does no harm, and nobody waits for a new quote where there is an old one.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy.exc import SQLAlchemyError

from cost.ledger import Ledger, LedgerUnavailable
from cost.money import Money
from cost.price_sheets import NotRoutable, PriceBook, price_call
from gateway.reads import BoundedReads, ReadTimedOut
from providers.contract import Call

_GOOD_FOR_S = 1.0
_PATIENCE_S = 0.5

_Price = Money | NotRoutable


class Quotes:
    """One a process, shared by its threads."""

    def __init__(self, ledger: Ledger, prices: PriceBook, reads: BoundedReads, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Price by these sheets and this ledger's units of the month."""
        self._ledger = ledger
        self._prices = prices
        self._reads = reads
        self._monotonic = monotonic
        self._known: dict[tuple[str, Call], tuple[float, _Price]] = {}
        self._asking: defaultdict[tuple[str, Call], threading.Lock] = defaultdict(threading.Lock)

    def price(self, provider: str, call: Call) -> _Price:
        """What a call costs at this moment's month-to-date units, or why nobody can say.

        While the first read of the month's units takes long (a busy machine), the list price: that of a month without free units and
        volume, so at most too high.

        Raises:
            LedgerUnavailable: the database can't be read, and could not before.
        """
        known = self._known.get((provider, call))
        if known and known[0] > self._monotonic():
            return known[1]
        asking = self._asking[provider, call]
        if not asking.acquire(timeout=0 if known else _PATIENCE_S):
            return known[1] if known else self._list_price(provider, call)
        try:
            known = self._known.get((provider, call))
            if known and known[0] > self._monotonic():
                return known[1]
            price = self._read(provider, call, known[1] if known else None)
            self._known[provider, call] = (self._monotonic() + _GOOD_FOR_S, price)
            return price
        finally:
            asking.release()

    def _read(self, provider: str, call: Call, before: _Price | None) -> _Price:
        try:
            priced = self._reads.read(lambda: self._ledger.price(provider, _units(call)))
        except ReadTimedOut:
            return self._list_price(provider, call) if before is None else before
        except (SQLAlchemyError, LedgerUnavailable) as error:
            if before is None:
                raise LedgerUnavailable(f"the month's units can't be read: {type(error).__name__}") from error
            return before
        return priced if isinstance(priced, NotRoutable) else priced.total

    def _list_price(self, provider: str, call: Call) -> _Price:
        sheet = self._prices.get(provider)
        priced = price_call(sheet, _units(call), {}, sheet.day_of(datetime.now(UTC)) if sheet else datetime.now(UTC).date())
        return priced if isinstance(priced, NotRoutable) else priced.list_price


def _units(call: Call) -> dict[str, int]:
    return {usage.sku: usage.units for usage in call.usage}
