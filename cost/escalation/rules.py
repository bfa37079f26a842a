"""What is done while there are no records to learn from: the free answer first, and a paid one where the free one looks weak.

The numbers are priors, not measurements: a paid answer is taken to be right four times in five, and a free one as often as its surest
things say. They hold until `tune` has something to say.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cost.escalation.boxes import SHOWN_FROM
from cost.escalation.policy import Judgement
from cost.records import Answer

PAID_REWARD = 0.8
EMPTY_REWARD = 0.3  # of a free answer that found nothing where there usually is something


@dataclass(frozen=True)
class Rules:
    """Judges like a `Policy`.

    Attributes:
        order: providers as the operator prefers them.
        paid: those whose answers are taken as they come.
        empty_is_weak: whether finding nothing is suspicious: with objects it is, with faces it is not.
    """

    order: Sequence[str]
    paid: Collection[str]
    empty_is_weak: bool = True

    def judge(self, answers: Mapping[str, Answer | None], prices_usd: Mapping[str, float], multiplier: float) -> Judgement:
        """See `Policy.judge`. Before any answer nothing is said: the operator's order stands."""
        if not answers:
            return Judgement(None, None, 0.0, {})
        told = [p for p in answers if p in self.paid]
        if told:
            return Judgement(None, told[-1], PAID_REWARD, {})
        by = next(iter(answers))
        reward = self._reward(answers[by])
        gains = {p: PAID_REWARD - reward for p in self.order if p in prices_usd and p in self.paid and p not in answers}
        worth_it = [p for p, gain in gains.items() if gain > multiplier * prices_usd[p] and gain > 0.0]
        return Judgement(worth_it[0] if worth_it else None, by, reward, gains)

    def multiplier_for(self, usd_per_picture: float) -> float:
        """As `Policy.multiplier_for`, from a guess: calls for a tenth of a cent, and gains spread evenly up to the greatest."""
        call_usd = 0.001
        greatest = PAID_REWARD - EMPTY_REWARD
        return max(greatest * (1.0 - usd_per_picture / call_usd) / call_usd, 0.0)

    def _reward(self, answer: Answer | None) -> float:
        shown = [seen.confidence for seen in answer or () if seen.confidence is None or seen.confidence >= SHOWN_FROM]
        if not shown:
            return EMPTY_REWARD if self.empty_is_weak else PAID_REWARD
        return np.mean([PAID_REWARD if confidence is None else confidence for confidence in shown]).item()
