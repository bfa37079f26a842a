"""What becomes of a held price: settled (billed), released (surely not billed), or unknown (counts as billed until somebody knows).

    reserved -> settled | released | unknown        unknown -> settled | released

Nothing leaves settled or released. Each move is made once, whoever repeats it; what is learned later is a correction, a row of its own.
"""

from dataclasses import dataclass
from typing import Literal

from cost.ledger.book import Book
from cost.ledger.corrections import Correction, write_correction
from cost.ledger.rows import AttemptRow
from cost.ledger.times import day_of, from_us
from cost.money import Money

OUTCOME_CHARS_MAX = 64
PROVIDER_REQUEST_ID_CHARS_MAX = 256

_ENTRY_KIND = {"settled": "settle", "released": "release", "unknown": "unknown"}


@dataclass(frozen=True, slots=True)
class Resolve:
    """Move an attempt on from reserved or unknown.

    Attributes:
        to: where.
        outcome: the word for what happened, such as an error's code.
        provider_request_id: for support, never a key.
        cost: what a settled attempt was billed; None: its price.
    """

    attempt_id: str
    to: Literal["settled", "released", "unknown"]
    outcome: str
    provider_request_id: str | None = None
    cost: Money | None = None

    def apply(self, book: Book) -> bool:
        """Whether this call made the move; False: it was made before, or the attempt was never committed."""
        attempt = book.attempts.get(self.attempt_id)
        if attempt is None or attempt.state not in ("reserved", "unknown") or attempt.state == self.to:
            return False
        amount = self._move_money(book, attempt)
        attempt.row["state"] = self.to
        attempt.row["cost_nanos"] = amount if self.to == "settled" else None
        attempt.row["outcome"] = self.outcome[:OUTCOME_CHARS_MAX]
        if self.provider_request_id is not None:
            attempt.row["provider_request_id"] = self.provider_request_id[:PROVIDER_REQUEST_ID_CHARS_MAX]
        attempt.row["ended_at_us"] = book.now_us
        attempt.changed = True
        book.chain.add(
            _ENTRY_KIND[self.to],
            self.attempt_id,
            book.now_us,
            amount,
            outcome=attempt.row["outcome"],
            provider_request_id=attempt.row["provider_request_id"],
        )
        if self.to == "released":
            _give_back_units(book, attempt)
        return True

    def _move_money(self, book: Book, attempt: AttemptRow) -> int:
        """From where the price was held to where it goes, in every window and daily sum. Returns the nanos that arrive."""
        price: int = attempt.row["price_nanos"]
        amount = {"settled": price if self.cost is None else self.cost.nanos, "released": 0, "unknown": price}[self.to]
        left = attempt.state
        for window_id in attempt.window_ids:
            moves = {left: -price} if self.to == "released" else {left: -price, self.to: amount}
            book.windows[window_id].move(**moves)
        day = day_of(attempt.row["reserved_at_us"])
        for line in attempt.lines:
            first = line["line"] == 0
            measures = {f"{left}_nanos": -line["price_nanos"]}
            if self.to == "settled":
                # A bill that differs from the price does so for the call; its first line carries the difference.
                measures |= {"cost_nanos": line["price_nanos"] + (amount - price if first else 0), "billed_units": line["units"]}
            elif self.to == "unknown":
                measures["unknown_nanos"] = line["price_nanos"]
            else:
                measures |= {"calls": -int(first), "line_calls": -1}
            book.rollups.add(day, line["sku"], attempt.row, **measures)
        return amount


def _give_back_units(book: Book, attempt: AttemptRow) -> None:
    """Take a released attempt's units out of the month.

    The units behind it then move down in the tiers. Where that crosses a tier's edge, one of them costs another price than it was
    booked at; the difference is booked here, so that the month's sum stays the invoice's to the nano-dollar. It never exceeds what
    the release has just given back, so it never breaks a budget.
    """
    row = attempt.row
    sheet = book.prices.get(row["provider"])
    day = sheet.day_of(from_us(row["reserved_at_us"])) if sheet else None
    for line in reversed(attempt.lines):
        counter = book.counters[line["counter_id"]]
        counter.move(-line["units"])
        if sheet is None or day is None:
            continue
        price = sheet.price_of(line["sku"], day)
        if price is None or sheet.version_of(price) != line["price_version"]:
            continue
        shift = line["price_nanos"] - sheet.charge(price, counter.units, line["units"], day).nanos
        if shift:
            correction = Correction(
                attempt_id=row["id"],
                day=day_of(row["reserved_at_us"]),
                provider=row["provider"],
                sku=line["sku"],
                features=row["features"],
                client=row["client"],
                tags=row["tags"],
                units=0,
                amount=Money(shift),
                reason="tier: a released call's units moved others over a tier's edge",
            )
            write_correction(book, correction, attempt.window_ids)
