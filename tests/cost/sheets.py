"""Price sheets for tests, with round numbers, and holds on them."""

from cost.ledger import Hold
from cost.money import Money
from cost.price_sheets import Price, PriceSheet, Tier


def sheet(provider, *tiers, sku="SKU", **more):
    return PriceSheet(provider, (Price(sku, tuple(Tier(above, Money(nanos)) for above, nanos in tiers), sku, **more),))


FLAT = 1_000_000
"""What a unit of `flat` costs, in nanos."""

BOOK = {
    "flat": sheet("flat", (0, FLAT)),
    "falling": sheet("falling", (0, 1_000_000), (10, 700_000)),
    "free_first": sheet("free_first", (0, 2_250_000), free_units=3),
    "two_skus": PriceSheet(
        "two_skus", tuple(Price(sku, (Tier(0, Money(nanos)),), sku) for sku, nanos in [("OBJECTS", 2_250_000), ("LABELS", 1_500_000)])
    ),
}


def hold(provider="flat", usage=None, **more):
    usage = usage or {"SKU": 1}
    defaults = {"request_id": "request", "client": "shop", "features": frozenset({"objects"}), "timeout_s": 10.0}
    return Hold(provider=provider, usage=usage, **(defaults | more))
