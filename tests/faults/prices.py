"""Prices and budgets that meet at awkward places: nothing divides, and tiers begin in the middle."""

from cost.ledger import Budget
from cost.money import Money
from cost.price_sheets import Price, PriceSheet, Tier

FALLING = ((0, 1_234_567), (300, 987_653), (6_000, 700_001))
RISING = ((0, 765_433), (200, 1_500_007))
FREE_UNITS = 50


def _sheet(provider, table, free_units=0):
    tiers = tuple(Tier(above, Money(nanos)) for above, nanos in table)
    return PriceSheet(provider, (Price("SKU", tiers, "SKU", free_units=free_units),))


BOOK = {"falling": _sheet("falling", FALLING), "rising": _sheet("rising", RISING, FREE_UNITS)}


def invoice(provider, units):
    """What a month of so many units costs, unit by unit, by the row of the table that each falls in."""
    table, free = (FALLING, 0) if provider == "falling" else (RISING, FREE_UNITS)
    return sum([price for above, price in table if above < ordinal][-1] for ordinal in range(free + 1, units + 1))


def budgets(calls):
    """Three that overlap, each too small for its share of so many calls."""
    return [
        Budget("everyone", "global", "", "month", "UTC", Money(calls * 700_003)),
        Budget("shop", "client", "shop", "day", "America/Los_Angeles", Money(calls * 300_007)),
        Budget("spring", "tag", "campaign:spring", "week", "Asia/Kolkata", Money(calls * 200_011)),
    ]
