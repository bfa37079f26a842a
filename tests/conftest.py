from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

PHOTOS = Path(__file__).parent / "photos"


class FakeClock:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.today = datetime(2026, 8, 21, 12, tzinfo=UTC)

    def advance(self, seconds: float) -> None:
        self.now_s += seconds
        self.today += timedelta(seconds=seconds)

    def monotonic(self) -> float:
        return self.now_s

    def now(self) -> datetime:
        return self.today


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()
