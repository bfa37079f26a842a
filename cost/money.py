"""Money: a whole number of nano-dollars. No float touches it."""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation


@dataclass(frozen=True, order=True, slots=True)
class Money:
    """An exact amount of US dollars, in nano-dollars (1e-9 USD). No way in from a float."""

    nanos: int

    @classmethod
    def usd(cls, text: str) -> "Money":
        """Dollars from a decimal string such as `"0.00225"`.

        Raises:
            ValueError: not a decimal number, or finer than a nano-dollar.
        """
        try:
            nanos = Decimal(text).scaleb(9)
        except InvalidOperation:
            raise ValueError(f"{text!r} is not an amount of dollars such as 0.0015") from None
        if not nanos.is_finite() or nanos != nanos.to_integral_value():
            raise ValueError(f"{text!r} is not a whole number of nano-dollars (nine decimal places)")
        return cls(int(nanos))

    def __str__(self) -> str:
        whole, nanos = divmod(abs(self.nanos), 10**9)
        text = f"{whole}.{nanos:09d}".rstrip("0").rstrip(".")
        return f"-{text}" if self.nanos < 0 else text

    def __add__(self, other: "Money") -> "Money":
        return Money(self.nanos + other.nanos)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.nanos - other.nanos)

    def __mul__(self, units: int) -> "Money":
        return Money(self.nanos * units)


FREE = Money(0)
