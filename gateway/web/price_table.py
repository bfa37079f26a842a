"""The price sheets as a table: what is charged, where that was read, and whether it was read too long ago to be believed."""

from dataclasses import dataclass
from datetime import date, timedelta

from cost.money import Money
from cost.price_sheets import NotRoutable, Price, PriceSheet
from gateway.parts import Parts

STALE_AFTER = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class PriceRow:
    """One SKU.

    Attributes:
        tiers: "above 1,000,000: $0.80", by the month's units, from the second on.
        now_per_1000: the next unit's price at this month's units; None where nobody can say.
        stale: whether it was read more than 90 days ago.
    """

    provider: str
    sku: str
    list_per_1000: Money
    tiers: list[tuple[int, Money]]
    free_units: int
    free_units_left: int | None
    now_per_1000: Money | None
    source: str
    read_on: date
    stale: bool
    confirmed: bool


def price_rows(parts: Parts) -> list[PriceRow]:
    """Every SKU of the enabled providers that sends an invoice, at today's prices."""
    now = parts.ledger.now()
    rows = []
    for provider in parts.dispatcher.lines:
        sheet = parts.prices.get(provider)
        if sheet is None or sheet.imputed:
            continue
        for position in parts.ledger.positions(provider):
            if isinstance(position, NotRoutable):
                continue
            price = sheet.price_of(position.sku, sheet.day_of(now))
            assert price is not None, "a SKU with a position has a price"
            rows.append(_row(sheet, price, now.date(), position.unit_price * 1000, position.free_units_left))
    return rows


def _row(sheet: PriceSheet, price: Price, today: date, now_per_1000: Money, free_units_left: int) -> PriceRow:
    tiers = [(tier.above, tier.unit_price * 1000) for tier in price.tiers if tier.above]
    return PriceRow(
        sheet.provider,
        price.sku,
        price.list_unit_price * 1000,
        tiers,
        sheet.free_units(price, today),
        free_units_left,
        now_per_1000,
        price.source,
        price.read_on,
        is_stale(price.read_on, today),
        price.confirmed,
    )


def is_stale(read_on: date, today: date) -> bool:
    """Whether a price was read more than 90 days ago."""
    return today - read_on > STALE_AFTER
