"""Reserve: may this call be made? Its exact price against every budget that applies and the request's own ceiling, all or nothing."""

from dataclasses import dataclass
from typing import Any

from cost.ledger.book import Book
from cost.ledger.errors import BudgetExhausted, NotPriced, OverMaxCost, Shortfall
from cost.ledger.idempotency import Claim
from cost.ledger.journal import attempt_facts
from cost.ledger.rows import AttemptRow, WindowRow
from cost.ledger.terms import Budget, Hold, Line, Reservation, features_text, tags_text
from cost.ledger.times import SECOND_US, day_of, duration_us, from_us
from cost.money import Money
from cost.price_sheets import NotRoutable, Priced, PriceSheet, price_call

DEADLINE_MARGIN_US = 30 * SECOND_US
"""On top of a call's own timeout before its hold counts as `unknown`: a slow owner may still settle."""


@dataclass(frozen=True, slots=True)
class Reserve:
    """Hold a call's price. Durable before its caller goes on, since the call is made next.

    Attributes:
        claim: of the request's idempotency key, checked in the same transaction; None where it has none.
    """

    hold: Hold
    claim: Claim | None = None

    def apply(self, book: Book) -> Reservation:
        """Hold the price in the book, or change nothing.

        Raises:
            NotPriced, OverMaxCost, BudgetExhausted: see there.
            RequestRunning, RequestMismatch, AlreadyAnswered: the key is another request's.
        """
        if self.claim is None:
            return self._reserve(book)
        with book.keys.claimed(self.claim, book.now_us):
            return self._reserve(book)

    def _reserve(self, book: Book) -> Reservation:
        hold = self.hold
        known = book.attempts.get(hold.attempt_id)
        if known is not None:
            return _reservation(known)
        sheet = book.prices.get(hold.provider)
        priced = _price(book, sheet, hold)
        if isinstance(priced, NotRoutable):
            raise NotPriced(f"{hold.provider}: {priced.reason}")
        assert sheet is not None
        _check_ceiling(book, hold, priced.total)
        _check_budgets(book, hold, priced.total)
        return _reservation(_write_down(book, sheet, hold, priced))


def _price(book: Book, sheet: PriceSheet | None, hold: Hold) -> Priced | NotRoutable:
    if sheet is None:
        return NotRoutable("no price sheet")
    day = book.day_at(sheet)
    rows = [sheet.price_of(sku, day) for sku in hold.usage]
    month_to_date = {row.tier_group: book.counter(sheet, row.tier_group).units for row in rows if row is not None}
    return price_call(sheet, hold.usage, month_to_date, day)


def _check_ceiling(book: Book, hold: Hold, price: Money) -> None:
    if hold.max_cost is None:
        return
    committed = Money(book.committed_by_request.get(hold.request_id, 0))
    if committed + price > hold.max_cost:
        raise OverMaxCost(hold.max_cost, committed, price)


def _check_budgets(book: Book, hold: Hold, price: Money) -> None:
    """A call that costs nothing fits every budget, also one that is over its limit."""
    if not price:
        return
    short = [
        _shortfall(book.windows[window_id], budget, price)
        for window_id, budget in book.budgets_by_attempt[hold.attempt_id].items()
        if book.windows[window_id].committed_nanos + price.nanos > book.windows[window_id].limit_nanos
    ]
    if short:
        raise BudgetExhausted(tuple(sorted(short, key=lambda found: found.budget.when_exhausted != "reject")))


def _shortfall(window: WindowRow, budget: Budget, needed: Money) -> Shortfall:
    return Shortfall(
        budget=budget,
        starts_at=from_us(window.starts_at_us),
        resets_at=from_us(window.ends_at_us),
        limit=Money(window.limit_nanos),
        settled=Money(window.settled_nanos),
        reserved=Money(window.reserved_nanos),
        unknown=Money(window.unknown_nanos),
        needed=needed,
    )


def _write_down(book: Book, sheet: PriceSheet, hold: Hold, priced: Priced) -> AttemptRow:
    row = _row_of(book, hold, priced.total)
    lines = []
    for number, line in enumerate(priced.lines):
        counter = book.counter(sheet, line.tier_group)
        counter.move(line.units)
        lines.append(
            {
                "attempt_id": hold.attempt_id,
                "line": number,
                "sku": line.sku,
                "units": line.units,
                "price_nanos": line.price.nanos,
                "list_price_nanos": line.list_price.nanos,
                "price_version": line.price_version,
                "counter_id": counter.id,
            }
        )
        first = number == 0
        book.rollups.add(day_of(book.now_us), line.sku, row, calls=int(first), line_calls=1, reserved_nanos=line.price.nanos)
    window_ids = list(book.budgets_by_attempt[hold.attempt_id])
    for window_id in window_ids:
        book.windows[window_id].move(reserved=priced.total.nanos)
    if hold.max_cost is not None:
        book.committed_by_request[hold.request_id] = book.committed_by_request.get(hold.request_id, 0) + priced.total.nanos
    attempt = AttemptRow(row, lines, window_ids)
    book.add_attempt(attempt)
    book.chain.add("reserve", hold.attempt_id, book.now_us, priced.total.nanos, facts=attempt_facts(row, lines, window_ids))
    return attempt


def _row_of(book: Book, hold: Hold, price: Money) -> dict[str, Any]:
    """The attempt as it begins."""
    return {
        "id": hold.attempt_id,
        "request_id": hold.request_id,
        "client": hold.client,
        "tags": tags_text(hold.tags),
        "provider": hold.provider,
        "features": features_text(hold.features),
        "state": "reserved",
        "price_nanos": price.nanos,
        "cost_nanos": None,
        "outcome": None,
        "provider_request_id": None,
        "reserved_at_us": book.now_us,
        "deadline_at_us": book.now_us + duration_us(hold.timeout_s) + DEADLINE_MARGIN_US,
        "ended_at_us": None,
    }


def _reservation(attempt: AttemptRow) -> Reservation:
    row = attempt.row
    return Reservation(
        attempt_id=row["id"],
        request_id=row["request_id"],
        provider=row["provider"],
        price=Money(row["price_nanos"]),
        lines=tuple(
            Line(line["sku"], line["units"], Money(line["price_nanos"]), Money(line["list_price_nanos"])) for line in attempt.lines
        ),
        reserved_at=from_us(row["reserved_at_us"]),
        deadline_at=from_us(row["deadline_at_us"]),
    )
