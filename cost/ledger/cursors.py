"""Where a page of the ledger's rows ended, as a text that a client gives back."""

import base64
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from cost.ledger.times import to_us

DAY_US = 86_400_000_000


class BadCursor(ValueError):
    """A text that is no place in the ledger."""


_TIME_MAX_US = 250_000_000_000_000_000
"""Some day of the year 9892: later ones have no text."""


@dataclass(frozen=True, slots=True)
class Place:
    """A row's place. Rows come newest first; at the same instant by table, then by id, newest first, then by line.

    Attributes:
        sort_us: when the row happened; of a correction the end of the day that it belongs to.
        source: 0 attempts, 1 corrections, 2 usage.
        id: a text; of usage rows a number.
    """

    sort_us: int
    source: int
    id: str | int
    line: int

    @property
    def order(self) -> tuple[int, int, str | int, int]:
        """Descending along the pages."""
        return (self.sort_us, -self.source, self.id, -self.line)

    def __str__(self) -> str:
        text = f"{self.sort_us}|{self.source}|{self.line}|{self.id}"
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def of(cls, text: str) -> Self:
        """The place that a text says.

        Raises:
            BadCursor: none of ours.
        """
        try:
            said = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
            sort_us, source, line, id_ = said.split("|", 3)
            place = cls(int(sort_us), int(source), int(id_) if source == "2" else id_, int(line))
        except ValueError as error:
            raise BadCursor("this cursor is none that a page has given") from error
        id_is_ours = abs(place.id) < 1 << 62 if isinstance(place.id, int) else 0 < len(place.id) <= 32 and "\0" not in place.id
        if not (0 <= place.sort_us < _TIME_MAX_US and place.source in (0, 1, 2) and 0 <= place.line < 1 << 31 and id_is_ours):
            raise BadCursor("this cursor is none that a page has given")
        return place


def day_start_us(day: str) -> int:
    """The first microsecond of a UTC day."""
    return to_us(datetime.fromisoformat(day).replace(tzinfo=UTC))


def day_end_us(day: str) -> int:
    """The first microsecond after a UTC day."""
    return day_start_us(day) + DAY_US
