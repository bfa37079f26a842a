"""An exact amount of US dollars."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

NANOS_PER_USD = 1_000_000_000


@dataclass(frozen=True, order=True, slots=True)
class Money:
    """An exact amount of US dollars, in nano-dollars (1e-9 USD). No way in from a float."""

    nanos: int

    @classmethod
    def usd(cls, amount: str | Decimal | int) -> Money:
        """Dollars as they are written: `Money.usd("0.00225")`.

        Raises:
            ValueError: more than nine decimals, or not a number.
            TypeError: a float.
        """
        if isinstance(amount, bool) or not isinstance(amount, str | Decimal | int):
            raise TypeError(f"money from {type(amount).__name__}: write it as text")
        nanos = Decimal(amount) * NANOS_PER_USD
        if not nanos.is_finite() or nanos != nanos.to_integral_value():
            raise ValueError(f"{amount} is not a whole number of nano-dollars")
        return cls(int(nanos))

    def __add__(self, other: Money) -> Money:
        return Money(self.nanos + other.nanos)

    def __sub__(self, other: Money) -> Money:
        return Money(self.nanos - other.nanos)

    def __mul__(self, times: int) -> Money:
        return Money(self.nanos * times)

    def __str__(self) -> str:
        text = f"{Decimal(self.nanos).scaleb(-9):f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
