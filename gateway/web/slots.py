"""The days of a period as a drawing's bars: by day, by month where those are too many, by year where those are, too."""

import calendar
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

Unit = Literal["day", "month", "year"]

BARS_MAX = 92
_CHARS: dict[Unit, int] = {"day": 10, "month": 7, "year": 4}
"""Of an ISO day, so many say which slot it lies in."""


@dataclass(frozen=True, slots=True)
class Slots:
    """Slots of one length, without gaps: "2026-11-22", "2026-11" or "2026"."""

    unit: Unit
    first: date
    last: date

    def of(self, day: str) -> str:
        """The slot that an ISO day lies in."""
        return day[: _CHARS[self.unit]]

    def days(self, slot: str) -> tuple[date, date]:
        """A slot's first and last day, within the period."""
        parts = [int(part) for part in slot.split("-")]
        year, month = parts[0], parts[1] if len(parts) > 1 else 0
        if self.unit == "day":
            first = last = date(*parts)
        elif self.unit == "month":
            first, last = date(year, month, 1), date(year, month, calendar.monthrange(year, month)[1])
        else:
            first, last = date(year, 1, 1), date(year, 12, 31)
        return max(first, self.first), min(last, self.last)

    def __iter__(self) -> Iterator[str]:
        if self.unit == "day":
            yield from ((self.first + timedelta(days=number)).isoformat() for number in range((self.last - self.first).days + 1))
        elif self.unit == "month":
            yield from (f"{number // 12:04}-{number % 12 + 1:02}" for number in range(_months(self.first), _months(self.last) + 1))
        else:
            yield from (f"{year:04}" for year in range(self.first.year, self.last.year + 1))


def slots_of(first: date, last: date, seen: Iterable[str]) -> Slots:
    """A period's slots; of a long one only from the first to the last day on which anything was seen."""
    if (last - first).days >= BARS_MAX:
        days = sorted(seen)
        if not days:
            return Slots("day", last, last)
        first, last = max(first, date.fromisoformat(days[0])), min(last, date.fromisoformat(days[-1]))
    if (last - first).days < BARS_MAX:
        return Slots("day", first, last)
    return Slots("month" if _months(last) - _months(first) < BARS_MAX else "year", first, last)


def _months(day: date) -> int:
    return day.year * 12 + day.month - 1
