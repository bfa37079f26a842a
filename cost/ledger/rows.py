"""The rows that a book holds while a batch does its arithmetic."""

from dataclasses import dataclass, field
from typing import Any

from cost.ledger.terms import State


@dataclass(slots=True)
class WindowRow:
    """A budget's window. `excess` is what a lowered limit or a correction has put above the limit."""

    id: int
    starts_at_us: int
    ends_at_us: int
    limit_nanos: int
    settled_nanos: int
    reserved_nanos: int
    unknown_nanos: int
    excess_nanos: int
    changed: bool = False

    @property
    def committed_nanos(self) -> int:
        """What the limit is checked against."""
        return self.settled_nanos + self.reserved_nanos + self.unknown_nanos

    def move(self, *, settled: int = 0, reserved: int = 0, unknown: int = 0) -> None:
        """Add to the sums. Only an admission checks the limit; what goes past it otherwise is written down as excess."""
        self.settled_nanos += settled
        self.reserved_nanos += reserved
        self.unknown_nanos += unknown
        assert self.reserved_nanos >= 0, f"window {self.id}: less reserved than nothing"
        assert self.unknown_nanos >= 0, f"window {self.id}: less unknown than nothing"
        self.excess_nanos = max(self.excess_nanos, self.committed_nanos - self.limit_nanos)
        self.changed = True


@dataclass(slots=True)
class CounterRow:
    """How many units of a tier group a provider's month has seen."""

    id: int
    units: int
    changed: bool = False

    def move(self, units: int) -> None:
        """Add to the units."""
        self.units += units
        assert self.units >= 0, f"counter {self.id}: fewer units than none"
        self.changed = True


@dataclass(slots=True)
class AttemptRow:
    """An attempt with its lines and the windows it counts in."""

    row: dict[str, Any]
    lines: list[dict[str, Any]] = field(default_factory=list)
    window_ids: list[int] = field(default_factory=list)
    new: bool = False
    changed: bool = False

    @property
    def state(self) -> State:
        """Where it stands."""
        state: State = self.row["state"]
        return state
