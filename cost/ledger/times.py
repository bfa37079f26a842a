"""Instants as the tables keep them, microseconds since 1970 in UTC, and ids that sort by time."""

import secrets
import time
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def to_us(instant: datetime) -> int:
    """Microseconds of an aware instant; exact."""
    return (instant - _EPOCH) // timedelta(microseconds=1)


def from_us(us: int) -> datetime:
    """The instant in UTC; exact."""
    return _EPOCH + timedelta(microseconds=us)


def duration_us(duration_s: float) -> int:
    """Seconds to whole microseconds."""
    return round(duration_s * SECOND_US)


def day_of(us: int) -> str:
    """The UTC day, as 2026-11-22."""
    return from_us(us).date().isoformat()


def new_id() -> str:
    """32 hexadecimal digits: 48 bits of milliseconds, 80 of chance. Ids of neighbours in time are neighbours in an index."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"
