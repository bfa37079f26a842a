"""How numbers are written on pages. Money is rounded for the eye by whole numbers; the exact amount stands beside it, in the title."""

from datetime import datetime
from zoneinfo import ZoneInfo

from markupsafe import Markup, escape

from cost.ledger import CostSums
from cost.money import NANOS_PER_USD, Money

_DASH = "–"


def usd(money: Money | None, digits: int | None = None) -> str:
    """Dollars for reading: `$1,234.57`, `$0.0225`. Half a last digit rounds to even.

    Args:
        money: None where there is no such amount.
        digits: behind the point, so that a column lines up; by the amount's size where it is None.
    """
    if money is None:
        return _DASH
    digits = digits_for(money) if digits is None else digits
    step = 10 ** (9 - digits)
    steps, rest = divmod(abs(money.nanos), step)
    steps += rest * 2 > step or (rest * 2 == step and steps % 2)
    whole, fraction = divmod(steps, 10**digits)
    text = f"${whole:,}" + (f".{fraction:0{digits}d}" if digits else "")
    return f"−{text}" if money.nanos < 0 and steps else text


def digits_for(*amounts: Money) -> int:
    """How many digits behind the point tell these amounts apart: cents from a hundred dollars on, more for less."""
    most = max((abs(money.nanos) for money in amounts), default=0)
    if most >= 100 * NANOS_PER_USD or most == 0:
        return 2
    return 4 if most >= NANOS_PER_USD // 1_000 else 7


def digits(sums: CostSums) -> int:
    """For the columns of a table with this total."""
    return digits_for(sums.cost, sums.avoided)


def exact(money: Money) -> str:
    """Every digit: `$0.00225`."""
    return f"−${-money}" if money.nanos < 0 else f"${money}"


def amount(text: str) -> Money:
    """An amount that the API would send as text."""
    return Money.usd(text)


def tick(money: Money) -> str:
    """An amount beside an axis: `$1.5`, without zeros at the end."""
    return f"${money}"


def count(number: int) -> str:
    """`12,345`, `−1`."""
    return f"{number:,}".replace("-", "−")


def share(part: Money, whole: Money) -> str:
    """A part of a whole in percent, to the nearest, so that a column comes to about 100; a dash where there is no whole."""
    return f"{(part.nanos * 200 + whole.nanos) // (2 * whole.nanos)} %" if whole.nanos > 0 else _DASH


def moment(instant: datetime, zone: str = "UTC") -> str:
    """`2026-11-22 14:03 UTC`, or on the clocks of another zone."""
    return f"{instant.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} {zone}"


def prose(text: str) -> Markup:
    """Sentences whose `names` are set as code."""
    parts = enumerate(text.split("`"))
    return Markup("").join(Markup("<code>{}</code>").format(part) if place % 2 else escape(part) for place, part in parts)


FILTERS = {
    "usd": usd,
    "amount": amount,
    "digits": digits,
    "tick": tick,
    "exact": exact,
    "count": count,
    "share": share,
    "moment": moment,
    "prose": prose,
}
