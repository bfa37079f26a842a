"""Fitting again, without getting worse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cost.backtest import Replay
from cost.escalation.evidence import Floats
from cost.escalation.learn import learn, with_beliefs
from cost.escalation.policy import Policy
from cost.money import NANOS_PER_USD, Money
from cost.pacing import Pacer
from cost.records import Records

HELD_OUT = 5  # one record in so many, the latest of which anything is known, judges and does not teach


class WorseFit(ValueError):
    """A new fit answered the held-out records worse than the policy that is in use: that one stays."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """A policy that may be used.

    Attributes:
        held_out: how many records judged it.
        reward: mean on them of a fit that had not seen them; None where nobody knows how good any of its answers was.
        before: mean on them of the policy that was in use; None where there was none, or nobody knows.
    """

    policy: Policy
    held_out: int
    reward: float | None
    before: float | None

    @property
    def note(self) -> str:
        """For people."""
        against = "" if self.before is None else f", {self.before:.4f} before"
        now = "nothing to judge it by" if self.reward is None else f"{self.reward:.4f}"
        return f"{now} on {self.held_out} held-out records{against}"


def refit(current: Policy | None, records: Records, prices: Mapping[str, Money], per_picture: Money) -> Tuned:
    """A policy fitted on these records, if it is no worse than the current one on the latest of them at the same spend.

    Args:
        current: in use now; None: nothing to be worse than.
        records: oldest first, so that the latest are what the current policy has not been fitted on.
        prices: what a call costs now.
        per_picture: what may be spent on a picture.

    Raises:
        WorseFit: by more than chance explains (one standard error); with both rewards.
        TooFewRecords: nothing can be fitted.
    """
    judged = with_beliefs(records)
    usd = {p: m.nanos / NANOS_PER_USD for p, m in prices.items()}
    telling = np.flatnonzero(np.any([np.isfinite(rewards) for rewards in judged.rewards.values()], axis=0))
    held = telling[-max(len(telling) // HELD_OUT, 1) :]
    held_out = judged.take(held)
    new = _rewards(learn(records.take(np.setdiff1d(np.arange(len(records)), held)), usd), held_out, prices, per_picture)
    before = None
    if current is not None and set(current.providers) & set(prices):
        old = _rewards(current, held_out, prices, per_picture)
        before = _mean(old)
        worse = (old - new)[np.isfinite(old - new)]
        if len(worse) and worse.mean() > worse.std() / len(worse) ** 0.5:
            raise WorseFit(f"{_mean(new):.4f} on {len(held_out)} held-out records, {before:.4f} with the policy in use")
    return Tuned(learn(records, usd), len(held_out), _mean(new), before)


def _mean(rewards: Floats) -> float | None:
    known = rewards[np.isfinite(rewards)]
    return known.mean().item() if len(known) else None


def _rewards(policy: Policy, held_out: Records, prices: Mapping[str, Money], per_picture: Money) -> Floats:
    """(n,) what the policy's answers to these earn under this budget, each as it counts; 0 where there was no money for any."""
    known = held_out.only(prices)
    run = Replay(known, {p: prices[p] for p in known.providers}, per_picture * len(known))
    run.run(policy, Pacer(policy.multiplier_for), 0, len(known))
    return run.reward * known.stakes()
