"""Corrections: what was learned after an attempt had ended. A row of its own, with its reason; nothing is edited."""

from dataclasses import dataclass

from cost.ledger.book import Book
from cost.ledger.errors import UnknownAttempt
from cost.ledger.journal import correction_facts
from cost.ledger.times import new_id
from cost.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """An amount to add to what was settled (or, negative, to take from it).

    Attributes:
        day: the UTC day it belongs to, as 2026-11-22.
        features, client, tags: as the tables keep them; "" (tags: ",") where an invoice does not say.
        units: billed units to add.
        attempt_id: the attempt it corrects, or None for a line of an invoice.
    """

    day: str
    provider: str
    sku: str
    amount: Money
    reason: str
    units: int = 0
    features: str = ""
    client: str = ""
    tags: str = ","
    attempt_id: str | None = None


def write_correction(book: Book, correction: Correction, window_ids: list[int]) -> str:
    """Book it, in these windows (already read) and in the daily sums. Returns its id."""
    correction_id = new_id()
    row = {
        "id": correction_id,
        "at_us": book.now_us,
        "attempt_id": correction.attempt_id,
        "day": correction.day,
        "provider": correction.provider,
        "sku": correction.sku,
        "features": correction.features,
        "client": correction.client,
        "tags": correction.tags,
        "units": correction.units,
        "amount_nanos": correction.amount.nanos,
        "reason": correction.reason,
    }
    for window_id in window_ids:
        book.windows[window_id].move(settled=correction.amount.nanos)
    book.rollups.add(correction.day, correction.sku, row, cost_nanos=correction.amount.nanos, billed_units=correction.units)
    book.add_correction(row, window_ids)
    book.chain.add("correct", correction_id, book.now_us, correction.amount.nanos, facts=correction_facts(row, window_ids))
    return correction_id


def correct(book: Book, correction: Correction) -> str:
    """Book a correction in the windows of its attempt or, of an invoice's line, in those that are open now for everyone or its provider."""
    if correction.attempt_id is None:
        found = book.windows_now(correction.provider)
    else:
        book.read(attempt_ids=[correction.attempt_id])
        attempt = book.attempts.get(correction.attempt_id)
        if attempt is None:
            raise UnknownAttempt(f"{correction.attempt_id} is no attempt of this ledger")
        found = attempt.window_ids
    return write_correction(book, correction, found)
