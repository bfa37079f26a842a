"""What a picture costs in-house: dollars an hour over pictures served; and from how many pictures a month on that beats a cloud.

A machine costs the same busy or idle. Each answer is imputed the time in which the machine worked for it, so what a client is shown does
not depend on who else came that night; the rest of the hours is the idle share, told beside it. Both together are the machine's price.
Everything here is pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal

from cost.money import FREE, NANOS_PER_USD, Money
from cost.price_sheets import NotRoutable, PriceSheet, price_call

HOURS_A_MONTH = 730  # 365 days in twelve
_MICROSECONDS_AN_HOUR = 3_600_000_000
_PICTURES_A_MONTH_MAX = 1 << 30


def machine_price(usd_per_hour: Decimal, microseconds: int) -> Money:
    """What a machine of so many dollars an hour costs in that time, to the nearest nano-dollar."""
    nanos = usd_per_hour * microseconds * NANOS_PER_USD / _MICROSECONDS_AN_HOUR
    return Money(int(nanos.to_integral_value(ROUND_HALF_EVEN)))


@dataclass(frozen=True, slots=True)
class InHouse:
    """What the in-house model cost over some time, and what for.

    Attributes:
        machine: the price of its hours, busy or idle.
        imputed: the part in which it worked on pictures: what the ledger's in-house rows add up to.
        pictures: that it answered.
    """

    machine: Money
    imputed: Money
    pictures: int

    @property
    def idle(self) -> Money:
        """What was paid while it waited; 0 where more was imputed than the machine costs (several processes that each tell their wait)."""
        return max(FREE, self.machine - self.imputed)

    @property
    def idle_share(self) -> Decimal:
        """Of the machine's price, in [0, 1], to four places; 0 where nothing was paid."""
        if not self.machine:
            return Decimal(0)
        return (Decimal(self.idle.nanos) / self.machine.nanos).quantize(Decimal("0.0001"))

    @property
    def picture(self) -> Money | None:
        """Dollars an hour over pictures served, idle hours included; None where none was served."""
        return _over(self.machine, self.pictures)

    @property
    def busy_picture(self) -> Money | None:
        """The same on a machine that never waits: its floor."""
        return _over(self.imputed, self.pictures)

    @property
    def pictures_max(self) -> int | None:
        """What the machine could have served in the same time; None where nobody saw how long a picture takes."""
        if not self.imputed or not self.machine:
            return None
        return self.pictures * self.machine.nanos // self.imputed.nanos


@dataclass(frozen=True, slots=True)
class BreakEven:
    """One cloud beside the machine.

    Attributes:
        pictures_a_month: from here on the cloud costs at least what the machine costs; None: it never does, or has no price.
        reason: why there is none; empty otherwise.
    """

    provider: str
    pictures_a_month: int | None
    reason: str = ""


def break_even(usd_per_hour: Decimal, sheet: PriceSheet, usage: Mapping[str, int], on: date) -> BreakEven:
    """From how many pictures a month on the machine is not dearer than a cloud: free units and tiers counted, pictures whole.

    Args:
        usd_per_hour: of the machine, which runs all month (730 hours).
        sheet: the cloud's prices.
        usage: units by SKU that one picture bills.
        on: a day of the provider's calendar whose prices apply.
    """
    machine = month_price(usd_per_hour)

    def reached(pictures: int) -> bool | NotRoutable:
        price = cloud_price(sheet, usage, pictures, on)
        return price if isinstance(price, NotRoutable) else price >= machine

    enough = reached(_PICTURES_A_MONTH_MAX)
    if isinstance(enough, NotRoutable):
        return BreakEven(sheet.provider, None, enough.reason)
    if not enough:
        return BreakEven(sheet.provider, None, "cheaper at any number of pictures")
    low, high = 0, _PICTURES_A_MONTH_MAX  # a month's price never falls with the pictures: halve
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle + 1, high)
    return BreakEven(sheet.provider, low)


def month_price(usd_per_hour: Decimal) -> Money:
    """What the machine costs in an average month."""
    return machine_price(usd_per_hour, HOURS_A_MONTH * _MICROSECONDS_AN_HOUR)


def cloud_price(sheet: PriceSheet, usage: Mapping[str, int], pictures: int, on: date) -> Money | NotRoutable:
    """What a whole month of so many pictures costs at a cloud; tiers and free units from the first picture on."""
    if pictures == 0:
        return FREE
    priced = price_call(sheet, {sku: units * pictures for sku, units in usage.items()}, {}, on)
    return priced if isinstance(priced, NotRoutable) else priced.total


def _over(amount: Money, pictures: int) -> Money | None:
    if pictures == 0:
        return None
    return Money(int((Decimal(amount.nanos) / pictures).to_integral_value(ROUND_HALF_EVEN)))
