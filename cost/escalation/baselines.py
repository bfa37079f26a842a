"""What anyone would try first, and what nobody can beat: the rows a backtest's result is read against."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cost.escalation.evidence import Encoder, Floats
from cost.records import Records

Outcome = tuple[Floats, Floats]  # (n,) reward, NaN where unknown, and (n,) dollars of every picture


def one_threshold(taught: Records, test: Records, prices_usd: Mapping[str, float], usd_per_picture: float) -> Outcome:
    """One provider first, another one below one confidence: the pair and the threshold that do best on `taught` within the budget."""
    encoder = Encoder.fit(taught)
    best: tuple[float, str, str, float] | None = None
    for first in taught.providers:
        sure = _surest(encoder, taught, first)
        ranking = np.argsort(sure, kind="stable")
        for second in taught.providers:
            spare = usd_per_picture - prices_usd[first]
            if first == second or spare < 0.0:
                continue
            n = min(len(taught), int(len(taught) * spare / prices_usd[second])) if prices_usd[second] > 0 else len(taught)
            gains = np.nan_to_num(taught.rewards[second] - taught.rewards[first])[ranking]
            gained = np.concatenate([[0.0], np.cumsum(gains)])[: n + 1]
            gained[1:][
                sure[ranking[: len(gained) - 1]] == np.append(sure[ranking], np.inf)[1 : len(gained)]
            ] = -np.inf  # equals can't be parted
            k = int(gained.argmax())
            reward = np.nansum(taught.rewards[first]).item() + gained[k].item()
            if best is None or reward > best[0]:
                best = (reward, first, second, sure[ranking[k - 1]].item() if k else -np.inf)
    if best is None:
        return np.zeros(len(test)), np.zeros(len(test))
    _, first, second, threshold = best
    asked = _surest(encoder, test, first) <= threshold
    earned: Floats = np.where(asked, test.rewards[second], test.rewards[first])
    return earned, prices_usd[first] + asked.astype(np.float64) * prices_usd[second]


def oracle(test: Records, prices_usd: Mapping[str, float], usd_per_picture: float) -> Outcome:
    """Hindsight: for every picture the one provider that is worth most, at the price on money that keeps within the budget."""
    rewards = np.column_stack([np.nan_to_num(test.rewards[p], nan=-1.0) for p in test.providers])
    costs = np.array([prices_usd[p] for p in test.providers])
    low, high = 0.0, 1e9
    chosen = _argmax(rewards, costs, low)
    if costs[chosen].mean() > usd_per_picture:
        for _ in range(80):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if costs[_argmax(rewards, costs, middle)].mean() > usd_per_picture else (low, middle)
        # Many pictures change their minds at the same price: as many of them as there is money for.
        chosen, dearer = _argmax(rewards, costs, high), _argmax(rewards, costs, low)
        more = np.cumsum(costs[dearer] - costs[chosen]) <= usd_per_picture * len(costs[chosen]) - costs[chosen].sum()
        chosen = np.where(more, dearer, chosen)
    earned: Floats = np.maximum(rewards[np.arange(len(chosen)), chosen], 0.0)
    answered = np.any([[a is not None for a in test.answers[p]] for p in test.providers], axis=0)
    return np.where(answered & (rewards < 0.0).all(axis=1), np.nan, earned), costs[chosen]


def _argmax(rewards: Floats, costs: Floats, multiplier: float) -> NDArray[np.intp]:
    """The best provider for each picture, the cheapest among equals."""
    cheap = np.argsort(costs, kind="stable")
    chosen: NDArray[np.intp] = cheap[(rewards - multiplier * costs)[:, cheap].argmax(axis=1)]
    return chosen


def _surest(encoder: Encoder, records: Records, provider: str) -> Floats:
    """(n,) rank of the surest label; -1 where it named none."""
    said = encoder.encode({provider: records.answers[provider]})[provider]
    surest = np.full(len(records), -1.0)
    np.maximum.at(surest, said.row, said.rank)
    return surest
