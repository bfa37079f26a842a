"""An exact amount of US dollars. One door in for text, one way out, and none for floats."""

import re
from dataclasses import dataclass
from typing import Self

NANOS_PER_USD = 1_000_000_000
NANOS_MAX = 2**63 - 1  # what a BIGINT column holds: $9.2 billion
_DECIMAL = re.compile(r"(-?)(\d{1,10})(?:\.(\d{1,18}))?", re.ASCII)


class BadMoney(ValueError):
    """A text that is not an exact amount of dollars."""


@dataclass(frozen=True, slots=True, order=True)
class Money:
    """Whole nano-dollars (1e-9 USD): $1.50 for 1,000 pictures is 1,500,000 nanos a picture.

    Nano, because an in-house picture may cost a fraction of a micro-dollar, and because google.type.Money has the same smallest step.
    Adds, subtracts, compares, and multiplies by whole numbers; there is no division, since money does not divide exactly.

    Attributes:
        nanos: may be negative (a credit); within ± 2**63, what a database column holds.
    """

    nanos: int

    def __post_init__(self) -> None:
        if type(self.nanos) is not int:
            raise TypeError(f"nano-dollars are whole numbers, not {type(self.nanos).__name__}")
        if abs(self.nanos) > NANOS_MAX:
            raise BadMoney(f"{self.nanos} nano-dollars are more than a ledger can hold")

    @classmethod
    def usd(cls, text: str) -> Self:
        """The amount that a decimal string says: `"0.00225"`, `"50.00"`, `"-3"`.

        Raises:
            BadMoney: no plain decimal, or finer than a nano-dollar. Nothing is rounded in silence.
            TypeError: not a string; a float has lost the amount before it gets here.
        """
        if not isinstance(text, str):
            raise TypeError(f"dollars are a decimal string, not {type(text).__name__}")
        match = _DECIMAL.fullmatch(text)
        if match is None:
            raise BadMoney(f'{text!r} is not a decimal number of dollars such as "0.00225"')
        sign, whole, fraction = match[1], match[2], (match[3] or "").rstrip("0")
        if len(fraction) > 9:
            raise BadMoney(f"{text!r} is finer than a nano-dollar")
        nanos = int(whole) * NANOS_PER_USD + int(fraction.ljust(9, "0"))
        return cls(-nanos if sign else nanos)

    def __str__(self) -> str:
        """Dollars in plain decimals, never in scientific notation: `0.00225`, `50`, `-0.001`."""
        whole, fraction = divmod(abs(self.nanos), NANOS_PER_USD)
        text = f"{whole}.{fraction:09d}".rstrip("0").rstrip(".")
        return f"-{text}" if self.nanos < 0 else text

    def __bool__(self) -> bool:
        return self.nanos != 0

    def __add__(self, other: "Money") -> "Money":
        if not isinstance(other, Money):
            return NotImplemented
        return Money(self.nanos + other.nanos)

    def __sub__(self, other: "Money") -> "Money":
        if not isinstance(other, Money):
            return NotImplemented
        return Money(self.nanos - other.nanos)

    def __neg__(self) -> "Money":
        return Money(-self.nanos)

    def __mul__(self, times: int) -> "Money":
        if type(times) is not int:
            return NotImplemented
        return Money(self.nanos * times)

    __rmul__ = __mul__


FREE = Money(0)
