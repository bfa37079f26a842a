"""The ledger as FOCUS: FinOps Open Cost and Usage Specification 1.2, with the provider columns of 1.3 beside those that they replace.

A row is what one client was charged for one SKU at one unit price within an hour. Only charges are told: what is still held or unknown has
not been charged, and nobody sends an invoice for the in-house model.

Free units and volume tiers are published prices, each with a SKU price of its own, so they are in the list price ("Standard … includes any
flat rate and volume/tiered pricing", PricingCategory); a call whose units lie on both sides of a tier's edge is two rows. With no
negotiated discounts and no commitments, list, contracted, effective and billed cost are one amount.

Source: https://focus.finops.org/focus-specification/v1-2/
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise

from cost.ledger.details import CostEntry
from cost.money import FREE, Money
from cost.price_sheets import ANY_REGION, Price, PriceBook, PriceSheet
from cost.windows import window_of

AMOUNTS = ("BilledCost", "ContractedCost", "EffectiveCost", "ListCost", "ContractedUnitPrice", "ListUnitPrice", "x_FirstTierCost")
NUMBERS = frozenset({*AMOUNTS, "ConsumedQuantity", "PricingQuantity", "x_Calls"})
TIMES = frozenset({"BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd"})
COLUMNS = (
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory",
    "ChargeClass", "ChargeDescription", "ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart", "ConsumedQuantity", "ConsumedUnit",
    "ContractedCost", "ContractedUnitPrice", "EffectiveCost", "HostProviderName", "InvoiceId", "InvoiceIssuerName", "ListCost",
    "ListUnitPrice", "PricingCategory", "PricingQuantity", "PricingUnit", "ProviderName", "PublisherName", "RegionId", "RegionName",
    "ServiceCategory", "ServiceName", "ServiceProviderName", "ServiceSubcategory", "SkuId", "SkuMeter", "SkuPriceDetails", "SkuPriceId",
    "Tags", "x_Calls", "x_Client", "x_EntryId", "x_Feature", "x_FirstTierCost", "x_Provider",
)  # fmt: skip
"""In order of their names; our own begin with x_."""

FocusRow = dict[str, str | None]
"""By column; None is null. Amounts are decimal strings, times as 2026-11-22T14:00:00Z."""

_UNIT = "Units"
_OPEN_MAX = 5_000
"""Rows of one hour that wait to be added to; with more of them a charge may come in several rows."""


@dataclass(frozen=True, slots=True)
class _Charge:
    """What rows of one hour share when they are added up."""

    hour: datetime
    provider: str
    region: str
    sku: str
    client: str
    feature: str
    tags: str
    unit_price: Money
    sku_price: str


@dataclass(slots=True)
class _Sum:
    units: int = 0
    calls: int = 0
    first_tier: Money = FREE


def focus_rows(entries: Iterable[CostEntry], prices: PriceBook) -> Iterator[FocusRow]:
    """Every charge. Entries come in order of time, either way; few rows are in memory."""
    charges: dict[_Charge, _Sum] = {}
    hour: datetime | None = None
    for entry in entries:
        sheet = prices.get(entry.provider)
        if entry.kind == "correction":
            if entry.cost or entry.billed_units:
                yield _correction(entry, sheet)
        elif entry.kind == "call" and entry.state == "settled":
            this_hour = entry.at.replace(minute=0, second=0, microsecond=0)
            if this_hour != hour or len(charges) >= _OPEN_MAX:
                yield from (_usage(charge, added, prices.get(charge.provider)) for charge, added in charges.items())
                charges, hour = {}, this_hour
            _add(charges, entry, this_hour, sheet)
            if entry.cost != entry.price:
                yield _difference(entry, sheet)
    yield from (_usage(charge, added, prices.get(charge.provider)) for charge, added in charges.items())


def _add(charges: dict[_Charge, _Sum], entry: CostEntry, hour: datetime, sheet: PriceSheet | None) -> None:
    tags = json.dumps(entry.tags, ensure_ascii=False, sort_keys=True)
    calls, rest = entry.calls, entry.list_price
    for units, unit_price, sku_price in _parts(entry, sheet):
        charge = _Charge(
            hour, entry.provider, entry.region, entry.sku, entry.client, entry.feature, tags, unit_price, f"{entry.sku}/{sku_price}"
        )
        added = charges.setdefault(charge, _Sum())
        added.units += units
        added.calls += calls
        added.first_tier += rest
        calls, rest = 0, FREE


def _parts(entry: CostEntry, sheet: PriceSheet | None) -> list[tuple[int, Money, str]]:
    """An entry's units by their unit prices, with each price's name. Their products add up to the entry's price, to the nano-dollar."""
    if entry.units == 0:
        return []
    price = None if sheet is None else sheet.price_of(entry.sku, sheet.day_of(entry.at))
    named = [] if price is None else _named_prices(price)
    nanos, units = entry.price.nanos, entry.units
    for unit_price, name in named:
        if unit_price.nanos * units == nanos:
            return [(units, unit_price, name)]
    for (below, name), (above, next_name) in pairwise(named):
        if below != above:
            before, uneven = divmod(nanos - above.nanos * units, below.nanos - above.nanos)
            if not uneven and 0 < before < units:
                return [(before, below, name), (units - before, above, next_name)]
    # The sheet has changed since; an average that is no whole number of nanos is told as two that are.
    low, over = divmod(nanos, units)
    parts = [(units - over, Money(low), "unlisted"), (over, Money(low + 1), "unlisted")]
    return [part for part in parts if part[0]]


def _named_prices(price: Price) -> list[tuple[Money, str]]:
    """A price table as a ladder."""
    free = [(FREE, "free")] if price.free_units else []
    return [*free, *((tier.unit_price, f"above-{tier.above}") for tier in price.tiers)]


def _usage(charge: _Charge, added: _Sum, sheet: PriceSheet | None) -> FocusRow:
    cost, unit_price, units = str(charge.unit_price * added.units), str(charge.unit_price), str(added.units)
    service = _service(charge.provider, sheet)
    return _row(
        charge.provider,
        sheet,
        billed_at=charge.hour,
        BilledCost=cost,
        EffectiveCost=cost,
        ContractedCost=cost,
        ListCost=cost,
        ContractedUnitPrice=unit_price,
        ListUnitPrice=unit_price,
        ChargeCategory="Usage",
        ChargeFrequency="Usage-Based",
        ChargeDescription=f"{service} {charge.sku}, {charge.sku_price.partition('/')[2]}",
        ChargePeriodStart=_time(charge.hour),
        ChargePeriodEnd=_time(charge.hour + timedelta(hours=1)),
        ConsumedQuantity=units,
        ConsumedUnit=_UNIT,
        PricingCategory="Standard",
        PricingQuantity=units,
        PricingUnit=_UNIT,
        RegionId=_region(charge.region),
        RegionName=_region(charge.region),
        SkuId=charge.sku,
        SkuMeter=charge.sku,
        SkuPriceId=charge.sku_price,
        Tags=charge.tags,
        x_Calls=str(added.calls),
        x_Client=charge.client or None,
        x_Feature=charge.feature or None,
        x_FirstTierCost=str(added.first_tier),
    )


def _correction(entry: CostEntry, sheet: PriceSheet | None) -> FocusRow:
    """What was learned later. It is a Correction when the month it is about had been invoiced: the month has changed since, or an invoice
    was what it came from. Within a month still open ChargeClass must be null (ChargeClass-C-003).
    """
    day = datetime.fromisoformat(entry.day).replace(tzinfo=UTC)
    from_invoice = not entry.request_id
    invoiced = from_invoice or _period(day, sheet)[1] <= _period(entry.at, sheet)[0]
    quantity = str(entry.billed_units) if invoiced and entry.billed_units else None
    return _adjustment(
        entry,
        sheet,
        entry.cost,
        f"Correction: {entry.reason}",
        day,
        timedelta(days=1),
        ChargeCategory="Usage" if invoiced else "Adjustment",
        ChargeClass="Correction" if invoiced else None,
        PricingQuantity=quantity,
        PricingUnit=quantity and _UNIT,
        ChargeFrequency="Usage-Based" if invoiced else "One-Time",
    )


def _difference(entry: CostEntry, sheet: PriceSheet | None) -> FocusRow:
    """By how much a call's bill differed from its price."""
    hour = entry.at.replace(minute=0, second=0, microsecond=0)
    text = "Billed at another amount than the price"
    return _adjustment(
        entry, sheet, entry.cost - entry.price, text, hour, timedelta(hours=1), ChargeCategory="Adjustment", ChargeFrequency="One-Time"
    )


def _adjustment(
    entry: CostEntry, sheet: PriceSheet | None, cost: Money, text: str, start: datetime, lasts: timedelta, **more: str | None
) -> FocusRow:
    amount = str(cost)
    return _row(
        entry.provider,
        sheet,
        billed_at=entry.at,
        BilledCost=amount,
        EffectiveCost=amount,
        ContractedCost=amount,
        ListCost=amount,
        ChargeDescription=text,
        ChargePeriodStart=_time(start),
        ChargePeriodEnd=_time(start + lasts),
        RegionId=_region(entry.region),
        RegionName=_region(entry.region),
        SkuId=entry.sku,
        SkuMeter=entry.sku,
        Tags=json.dumps(entry.tags, ensure_ascii=False, sort_keys=True),
        x_Calls="0",
        x_Client=entry.client or None,
        x_EntryId=entry.id,
        x_Feature=entry.feature or None,
        x_FirstTierCost=amount,
        **more,
    )


def _row(provider: str, sheet: PriceSheet | None, *, billed_at: datetime, **columns: str | None) -> FocusRow:
    issuer = (sheet and sheet.issuer) or provider
    account = sheet.account if sheet else "default"
    starts, ends = _period(billed_at, sheet)
    shared: FocusRow = {
        "BillingAccountId": account,
        "BillingAccountName": account,
        "BillingCurrency": "USD",
        "BillingPeriodStart": _time(starts),
        "BillingPeriodEnd": _time(ends),
        "InvoiceIssuerName": issuer,
        "ServiceName": _service(provider, sheet),
        "ServiceCategory": "AI and Machine Learning",
        "ServiceSubcategory": "Machine Learning",
        "x_Provider": provider,
        **dict.fromkeys(("HostProviderName", "ProviderName", "PublisherName", "ServiceProviderName"), issuer),
    }
    shared |= columns
    return {name: _decimal(shared.get(name)) if name in NUMBERS else shared.get(name) for name in COLUMNS}


def _decimal(text: str | None) -> str | None:
    """With a decimal point, also before nothing: tools that guess a column's type do not take 3 for a Decimal."""
    return text if text is None or "." in text else f"{text}.0"


def _service(provider: str, sheet: PriceSheet | None) -> str:
    return (sheet and sheet.service) or provider


def _region(region: str) -> str | None:
    return None if region in ("", ANY_REGION) else region


def _period(instant: datetime, sheet: PriceSheet | None) -> tuple[datetime, datetime]:
    """The provider's month that an instant is billed in."""
    return _month(instant.replace(minute=0, second=0, microsecond=0), sheet.timezone if sheet else "UTC")


@lru_cache(maxsize=4_096)
def _month(hour: datetime, timezone: str) -> tuple[datetime, datetime]:
    window = window_of("month", timezone, hour)
    return window.starts_at, window.ends_at


def _time(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
