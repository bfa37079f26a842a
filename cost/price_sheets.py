"""Price sheets: what a provider's published table charges for units of a SKU, given how many the month has seen.

Everything here is pure. `price_files` reads the sheets, which are data.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

from cost.money import FREE, Money
from cost.windows import zone

ANY_REGION = "*"

Counted = Literal["own_account", "list"]
"""`own_account`: the units this ledger has counted decide free units and tier, as on the invoice of an account that only this gateway
uses. `list`: other systems share the account, so no unit is taken to be free and every one costs the first paid tier (safe side)."""


@dataclass(frozen=True, slots=True)
class Tier:
    """The price of each unit of a month above the first `above` ones, until the next tier."""

    above: int
    unit_price: Money
    confirmed: bool = True


@dataclass(frozen=True, slots=True)
class Price:
    """One SKU's row: what its units cost in a region from a date on.

    Attributes:
        tier_group: whose units count together towards free units and tiers; the SKU itself where it counts alone.
        region: as the provider names it, or `ANY_REGION`.
        tiers: ascending, the first above 0.
        free_units: the first units of each month that cost nothing; they count towards the tiers.
        free_for_first_months: free units end so many months after the account was opened; None: they stay.
        free_with: units of this SKU are free (and not counted) as far as the same call has units of that one.
        source, read_on: where and when the figures were read.
        confirmed: whether the source states this row; False is shown to operators. A tier may be unconfirmed alone.
        digest: changes when anything that decides a charge does.
    """

    sku: str
    tiers: tuple[Tier, ...]
    tier_group: str
    region: str = ANY_REGION
    effective_from: date = date.min
    free_units: int = 0
    free_for_first_months: int | None = None
    free_with: str | None = None
    source: str = ""
    read_on: date = date.min
    confirmed: bool = True
    digest: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        assert self.tiers, "a price has a tier"
        assert self.tiers[0].above == 0, "the first tier is above 0"
        assert all(a.above < b.above for a, b in zip(self.tiers, self.tiers[1:], strict=False)), "tiers ascend"
        charged = [(tier.above, tier.unit_price.nanos) for tier in self.tiers]
        deciding = (self.sku, charged, self.tier_group, self.region, self.free_units, self.free_for_first_months, self.free_with)
        object.__setattr__(self, "digest", hashlib.sha256(repr((deciding, self.effective_from)).encode()).hexdigest()[:12])

    @property
    def list_unit_price(self) -> Money:
        """The first paid tier's, free units and volume apart."""
        return next((tier.unit_price for tier in self.tiers if tier.unit_price), FREE)

    def of_month(self, units: int, free_units: int) -> Money:
        """What a month of `units` units costs when the first `free_units` of them are free."""
        total = FREE
        ends = [*(tier.above for tier in self.tiers[1:]), units]
        for tier, end in zip(self.tiers, ends, strict=True):
            paid = min(end, units) - max(tier.above, free_units)
            total += tier.unit_price * max(0, paid)
        return total


@dataclass(frozen=True, slots=True)
class PriceSheet:
    """Everything a provider charges this deployment.

    Attributes:
        region: where this deployment calls it.
        timezone: whose calendar months the provider bills by.
        imputed: no invoice ever comes (the in-house model): nothing is reserved, its cost is worked out apart.
        account: names the account that is billed; units are counted per account.
        issuer, service: who sends the invoice, and what it calls the service; "" where the sheet does not say.
        account_opened_on: where known, a free tier of the first months counts; where None it does not (safe side).
    """

    provider: str
    prices: tuple[Price, ...]
    region: str = ANY_REGION
    timezone: str = "UTC"
    imputed: bool = False
    account: str = "default"
    account_opened_on: date | None = None
    counted: Counted = "own_account"
    issuer: str = ""
    service: str = ""
    _terms_digest: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        terms = repr((self.counted, self.account_opened_on))
        object.__setattr__(self, "_terms_digest", hashlib.sha256(terms.encode()).hexdigest()[:4])

    def price_of(self, sku: str, on: date) -> Price | None:
        """The row valid on a day of the provider's calendar: the region's own before the general one, the latest before older ones."""
        rows = [row for row in self.prices if row.sku == sku and row.region in (self.region, ANY_REGION) and row.effective_from <= on]
        return max(rows, key=lambda row: (row.region != ANY_REGION, row.effective_from), default=None)

    def day_of(self, instant: datetime) -> date:
        """The provider's calendar day at an (aware) instant."""
        return instant.astimezone(zone(self.timezone)).date()

    def free_units(self, price: Price, on: date) -> int:
        """How many units of the month that `on` lies in are free."""
        if self.counted == "list":
            return 0
        if price.free_for_first_months is None:
            return price.free_units
        opened = self.account_opened_on
        if opened is None:
            return 0
        months_old = (on.year - opened.year) * 12 + on.month - opened.month - (on.day < opened.day)
        return price.free_units if 0 <= months_old < price.free_for_first_months else 0

    def version_of(self, price: Price) -> str:
        """Changes when anything that decides a charge does; kept with each attempt."""
        return price.digest + self._terms_digest

    def charge(self, price: Price, taken: int, units: int, on: date) -> Money:
        """What `units` more cost once the month has seen `taken`: the units on each side of a tier's edge by their own price."""
        if self.counted == "list":
            return price.list_unit_price * units
        free = self.free_units(price, on)
        return price.of_month(taken + units, free) - price.of_month(taken, free)


PriceBook = Mapping[str, PriceSheet]
"""The sheets of a deployment by provider."""


@dataclass(frozen=True, slots=True)
class PricedLine:
    """Units of one SKU in a call, and their exact price. `units` are those billed: a SKU that is free with another has 0."""

    sku: str
    tier_group: str
    units: int
    price: Money
    list_price: Money
    price_version: str


@dataclass(frozen=True, slots=True)
class Priced:
    """The exact price of a call at this moment."""

    lines: tuple[PricedLine, ...]

    @property
    def total(self) -> Money:
        """The sum over the lines."""
        return sum((line.price for line in self.lines), FREE)

    @property
    def list_price(self) -> Money:
        """The same without free units and volume."""
        return sum((line.list_price for line in self.lines), FREE)


@dataclass(frozen=True, slots=True)
class NotRoutable:
    """Why a call has no price, so that its provider can't be asked. An unknown price is never a default."""

    reason: str


def price_call(sheet: PriceSheet | None, usage: Mapping[str, int], month_to_date: Mapping[str, int], on: date) -> Priced | NotRoutable:
    """What one call will cost.

    Args:
        sheet: the provider's, or None where it has none.
        usage: units by SKU, each at least 1.
        month_to_date: units by tier group that the provider's month has already seen (open attempts count).
        on: the day in the provider's calendar, see `PriceSheet.day_of`.
    """
    if sheet is None:
        return NotRoutable("no price sheet")
    taken = dict(month_to_date)
    lines = []
    for sku, asked in usage.items():
        assert asked > 0, "a call has units"
        price = sheet.price_of(sku, on)
        if price is None:
            return NotRoutable(f"no valid price for {sku} in region {sheet.region} on {on}")
        units = max(0, asked - usage.get(price.free_with, 0)) if price.free_with else asked
        before = taken.get(price.tier_group, 0)
        taken[price.tier_group] = before + units
        charge = sheet.charge(price, before, units, on)
        lines.append(PricedLine(sku, price.tier_group, units, charge, price.list_unit_price * units, sheet.version_of(price)))
    return Priced(tuple(lines))


@dataclass(frozen=True, slots=True)
class Position:
    """Where a SKU stands in its table now: what the next unit costs, and for how long.

    Attributes:
        free_units_left: this month; 0 where none are free or none are left.
        units_left_at_price: until the next tier (or the end of the free units); None: no end.
        confirmed: whether the source states the figure that applies now.
    """

    sku: str
    unit_price: Money
    free_units_left: int
    units_left_at_price: int | None
    source: str
    read_on: date
    confirmed: bool


def position(sheet: PriceSheet, sku: str, month_to_date: Mapping[str, int], on: date) -> Position | NotRoutable:
    """The marginal price of a SKU, with the mark of where it comes from. Arguments as for `price_call`."""
    price = sheet.price_of(sku, on)
    if price is None:
        return NotRoutable(f"no valid price for {sku} in region {sheet.region} on {on}")
    taken = month_to_date.get(price.tier_group, 0)
    free_left = max(0, sheet.free_units(price, on) - taken)
    if sheet.counted == "list":
        return Position(sku, price.list_unit_price, 0, None, price.source, price.read_on, price.confirmed)
    tier = max((tier for tier in price.tiers if tier.above <= taken), key=lambda tier: tier.above)
    next_tier = min((other.above for other in price.tiers if other.above > taken), default=None)
    left = free_left or (None if next_tier is None else next_tier - taken)
    unit_price = FREE if free_left else tier.unit_price
    return Position(sku, unit_price, free_left, left, price.source, price.read_on, price.confirmed and tier.confirmed)
