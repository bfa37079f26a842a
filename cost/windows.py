"""Calendar windows: the day, week or month of some zone in which a budget counts, as a half-open interval of UTC."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

Period = Literal["day", "week", "month", "lifetime"]
PERIODS: tuple[Period, ...] = ("day", "week", "month")
"""Those that come again. A lifetime is one window for ever: what an experiment may spend in all."""


@dataclass(frozen=True, slots=True)
class Window:
    """`starts_at <= instant < ends_at`, both in UTC. A day is 23 or 25 hours where clocks change; a week starts on Monday (ISO 8601)."""

    starts_at: datetime
    ends_at: datetime

    def __contains__(self, instant: datetime) -> bool:
        return self.starts_at <= instant < self.ends_at


class UnknownTimeZone(ValueError):
    """No such zone in the IANA database."""


@cache
def zone(name: str) -> ZoneInfo:
    """The zone of that IANA name, from the `tzdata` package where the system has none.

    Raises:
        UnknownTimeZone: there is none; also for names that are paths, of which zoneinfo complains in several ways.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UnknownTimeZone(f"{name!r} is not an IANA time zone such as Europe/Berlin") from error


def window_of(period: Period, timezone: str, instant: datetime) -> Window:
    """The window that an instant (aware) falls in.

    Raises:
        UnknownTimeZone: see `zone`.
    """
    tz = zone(timezone)
    day = instant.astimezone(tz).date()
    first, after = _days(period, day)
    return Window(_midnight(first, tz), _midnight(after, tz))


def _days(period: Period, day: date) -> tuple[date, date]:
    """The first day of the period that holds `day`, and of the next."""
    if period == "lifetime":
        return date(1970, 1, 1), date(9999, 1, 1)
    if period == "day":
        return day, day + timedelta(days=1)
    if period == "week":
        monday = day - timedelta(days=day.weekday())
        return monday, monday + timedelta(days=7)
    first = day.replace(day=1)
    return first, (first + timedelta(days=31)).replace(day=1)


def _midnight(day: date, tz: ZoneInfo) -> datetime:
    """When a local day begins.

    `fold=0` is right in both odd cases: of a midnight that comes twice it is the first, and a midnight that the clocks skip it puts
    where they skip (PEP 495: the offset before the gap applies).
    """
    return datetime.combine(day, time.min, tz).astimezone(UTC)
