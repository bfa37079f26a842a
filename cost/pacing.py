"""Spending a window's budget evenly by worth: the multiplier follows the money that is left for the pictures still to come.

A budget that is spent first come, first served is gone on the 23rd; one that is guarded too well is unspent on the 31st. Both waste it.
With one multiplier on money for all pictures of the window, none is bought that gains less a dollar than one that is left (the dual of
the budget's constraint). Which multiplier that is depends on the pictures to come, so it is solved for again and again, with what is left.

Source: https://arxiv.org/abs/2011.10124 (dual descent for budgets), https://arxiv.org/abs/1802.06192 (solving again with what is left)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cost.money import NANOS_PER_USD, Money

MEMORY_PICTURES = 1_000  # over so many pictures the expected spend is set right by the spend that was seen
LEAN_MAX = 3.0  # how far, as a logarithm, the policy's own expectation of its spend is mistrusted


class Pacer:
    """Moves one window's multiplier. Not shared by threads: whoever owns the window updates it, everybody reads `multiplier`.

    Attributes:
        multiplier: reward that a dollar must bring now.
        lean: how much dearer, as a logarithm, pictures turn out than the policy expects.
        aim_usd: what a picture was to cost by the last plan.
    """

    def __init__(
        self, multiplier_for: Callable[[float], float], *, lean: float = 0.0, aim_usd: float = 0.0, multiplier: float = 0.0
    ) -> None:
        """A pacer for a policy that knows (roughly) which multiplier spends how many dollars a picture; it may go on where one stopped."""
        self._multiplier_for = multiplier_for
        self.lean = lean
        self.aim_usd = aim_usd
        self.multiplier = multiplier

    def follow(self, multiplier_for: Callable[[float], float]) -> Pacer:
        """Pace a newer policy from now on; what was learned about the old one's expectations says nothing about it."""
        self._multiplier_for, self.lean = multiplier_for, 0.0
        return self

    def plan(self, remaining: Money, pictures_ahead: float) -> float:
        """Set and return the multiplier that spends what remains on the pictures ahead."""
        self.aim_usd = max(remaining.nanos, 0) / NANOS_PER_USD / max(pictures_ahead, 1.0)
        self.multiplier = self._multiplier_for(self.aim_usd * math.exp(-self.lean))
        return self.multiplier

    def spent(self, amount: Money, pictures: int) -> None:
        """What this many pictures cost since the last plan. Dearer than was aimed at: lean towards a greater multiplier."""
        aimed = self.aim_usd * pictures
        if aimed <= 0.0:
            return
        miss = min(amount.nanos / NANOS_PER_USD / aimed - 1.0, 3.0)
        self.lean += miss * min(pictures / MEMORY_PICTURES, 0.3)
        # Leaning below the rich end would only wind up: there the multiplier is 0 and cannot fall.
        floor = -LEAN_MAX if self.multiplier > 0.0 else 0.0
        self.lean = min(max(self.lean, floor), LEAN_MAX)


@dataclass(frozen=True)
class Traffic:
    """How many pictures come when, as far as that is known: the shape of the past weeks, hour by hour.

    Attributes:
        hourly: 168 mean pictures an hour, from Monday 00:00 UTC. All 1 until a week has been seen.
    """

    hourly: Sequence[float] = (1.0,) * 168

    def share(self, start_hour: float, end_hour: float) -> float:
        """Pictures expected between two moments, in hours since a Monday 00:00 UTC, in the unit of `hourly`."""
        total, hour = 0.0, start_hour
        while hour < end_hour:
            step = min(math.floor(hour) + 1.0, end_hour)
            total += self.hourly[math.floor(hour) % 168] * (step - hour)
            hour = step
        return total

    def ahead(self, seen_pictures: float, seen_from_hour: float, now_hour: float, end_hour: float) -> float:
        """Pictures still to come until the window ends, at the level that was seen lately."""
        seen_share = self.share(seen_from_hour, now_hour)
        return seen_pictures / seen_share * self.share(now_hour, end_hour) if seen_share > 0.0 else math.inf
