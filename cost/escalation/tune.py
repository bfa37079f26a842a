"""Fitting again, without getting worse."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cost.backtest import Replay
from cost.escalation.fit import fit
from cost.escalation.policy import Policy
from cost.money import NANOS_PER_USD, Money
from cost.pacing import Pacer
from cost.records import Records

HELD_OUT = 5  # one record in so many, the latest, judges and does not teach


class WorseFit(ValueError):
    """A new fit answered the held-out records worse than the policy that is in use: that one stays."""


def refit(current: Policy | None, records: Records, prices: Mapping[str, Money], per_picture: Money) -> Policy:
    """A policy fitted on these records, if it is no worse than the current one on the latest of them at the same spend.

    Args:
        current: in use now; None: nothing to be worse than.
        records: oldest first, so that the latest are what the current policy has not been fitted on.
        prices: what a call costs now.
        per_picture: what may be spent on a picture.

    Raises:
        WorseFit: with both rewards.
        TooFewRecords: nothing can be fitted.
    """
    usd = {p: m.nanos / NANOS_PER_USD for p, m in prices.items()}
    if current is not None:
        cut = len(records) - max(len(records) // HELD_OUT, 1)
        held_out = records.take(range(cut, len(records)))
        limit = per_picture * len(held_out)
        new, old = (_reward(policy, held_out, prices, limit) for policy in (fit(records.take(range(cut)), usd), current))
        if new < old:
            raise WorseFit(f"{new:.4f} on {len(held_out)} held-out records, {old:.4f} with the policy in use")
    return fit(records, usd)


def _reward(policy: Policy, held_out: Records, prices: Mapping[str, Money], limit: Money) -> float:
    run = Replay(held_out, prices, limit)
    run.run(policy, Pacer(policy.multiplier_for), 0, len(held_out))
    return np.nanmean(run.reward).item()
