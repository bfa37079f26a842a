"""Learning a policy from records, without fooling itself.

Whatever is decided by what a model says of its own training records comes out too hopeful. So every record is judged by models that
have not seen it (cross-fitting), and values are carried back from there: from the state where everybody has answered to the one where
nobody has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cost.escalation.belief import Belief
from cost.escalation.box_votes import BoxVotes, State, fused_rewards
from cost.escalation.evidence import Floats
from cost.escalation.fit_state import BELIEF_PULL, Fitted, choose_pull, fit_state
from cost.escalation.learning import ROWS_MIN, Learning, prepare, states_of
from cost.escalation.policy import Policy, StateModel
from cost.escalation.ridges import Ridges
from cost.records import Records

ROWS_MAX = 8_000  # more records than this teach little more, and a fit should take seconds
GRID = 20  # tabulated multipliers
DOUBT = 2.0  # standard errors by which it must be better not to begin with the cheapest provider


class TooFewRecords(ValueError):
    """Not enough is known of any provider to decide by it."""


@dataclass(frozen=True)
class Ahead:
    """What follows from one state on, at each multiplier. All are (n, multipliers), NaN where the state is not usable.

    Attributes:
        value: expected reward of the answer in the end, with what is paid from here on deducted.
        reward: of that answer.
        spend: dollars paid from here on.
    """

    value: Floats
    reward: Floats
    spend: Floats


def fit(records: Records, prices_usd: Mapping[str, float], believed: Floats | Belief | None = None) -> Policy:
    """A policy for these records' providers at these prices.

    Args:
        records: pictures with a truth, verdicts or a reference; a few hundred say much, a few dozen little.
        prices_usd: provider -> dollars a call, for planning beyond the next call. Providers without one are left out.
        believed: what is thought true of records without a truth: one label by `belief.believe_one`, tags by `consensus.believe`;
            of these very records `without_truth`, whose vocabulary it is in.

    Raises:
        TooFewRecords: there is no provider that enough is known of.
    """
    providers = tuple(p for p in records.providers if p in prices_usd)
    learning = prepare(records.take(range(min(len(records), ROWS_MAX))), believed)
    pull = choose_pull(learning, providers) if believed is None else BELIEF_PULL
    known_states = states_of(learning, providers)
    boxes: BoxVotes | None = None
    if records.boxes:
        drawn = {p: learning.records.boxes[p] for p in providers}
        boxes, together, facts = fused_rewards(drawn, learning.records.true_boxes, known_states)
        learning = replace(learning, together=together, facts=facts)
    states = {s: fit_state(learning, providers, s, pull) for s in known_states}
    multipliers = multipliers_for([prices_usd[p] for p in providers])
    models, start = carry_back(learning, states, {p: prices_usd[p] for p in providers}, multipliers)
    rows = np.isfinite((start.spend + start.reward).sum(axis=1))
    if not rows.any():
        raise TooFewRecords(f"{len(records)} records, and none of the providers {', '.join(providers)} has {ROWS_MIN} of known worth")
    return Policy(
        records.kind,
        records.target,
        providers,
        learning.encoder,
        models,
        multipliers,
        np.minimum.accumulate(start.spend[rows].mean(axis=0)),
        learning.mean(np.where(rows[:, None], start.reward, np.nan)),
        len(records),
        {p: learning.mean(states[frozenset([p])].realised).item() for p in providers if frozenset([p]) in states},
        boxes,
    )


def carry_back(
    learning: Learning, states: Mapping[State, Fitted], prices_usd: Mapping[str, float], multipliers: Floats
) -> tuple[dict[State, StateModel], Ahead]:
    """From the state where everybody has answered to the one where nobody has: what it is worth to ask on.

    Returns: each state's model, with that; and what follows from where nobody has answered.
    """
    models: dict[State, StateModel] = {}
    ahead: dict[State, Ahead] = {}
    for state in sorted(states, key=len, reverse=True):
        here = states[state]
        ahead[state] = _answering(here, multipliers, may=len(state) > 0)
        onward, ridges = {}, Ridges(learning, here.features, here.usable, here.ridge)
        per_stake = multipliers / learning.stake(state)[:, None]
        for provider, price in prices_usd.items():
            after = state | {provider}
            if provider in state or after not in states:
                continue
            onward[provider], gain = ridges.solve(ahead[after].value - here.leaf[:, None], states[after].usable)
            doubt = np.zeros(len(multipliers)) if state else doubt_of_beginning(provider, ahead, prices_usd)
            onward[provider][0] -= doubt
            net = here.leaf[:, None] + gain - doubt - per_stake * price
            better = (net > ahead[state].value) & here.usable[:, None]
            # Who wasn't asked about a picture would have been worth, and have led to, what is expected.
            asked = states[after].usable[:, None]
            ahead[state] = Ahead(
                np.where(better, net, ahead[state].value),
                np.where(better, np.where(asked, ahead[after].reward, here.leaf[:, None] + gain), ahead[state].reward),
                np.where(better, price + np.where(asked, ahead[after].spend, np.nanmean(ahead[after].spend, axis=0)), ahead[state].spend),
            )
        models[state] = replace(here.model, onward=onward)
    return models, ahead[frozenset()]


def _answering(here: Fitted, multipliers: Floats, *, may: bool) -> Ahead:
    """What follows where nobody else is asked."""
    nothing = np.zeros((len(here.leaf), len(multipliers)))
    return Ahead(np.where(may, here.leaf, -np.inf)[:, None] + nothing, here.realised[:, None] + nothing, nothing)


def doubt_of_beginning(provider: str, ahead: Mapping[State, Ahead], prices_usd: Mapping[str, float]) -> Floats:
    """(multipliers,) what chance may have added to the gain of asking this provider first and not the cheapest one.

    From few records it often looks as if a dear answer were worth more when no free one came before it, which can't be.
    """
    beginnings = [p for p in prices_usd if frozenset([p]) in ahead]
    cheapest = min(beginnings, key=lambda p: prices_usd[p])
    more = ahead[frozenset([provider])].value - ahead[frozenset([cheapest])].value
    compared = more[np.isfinite(more[:, 0])]
    doubt: Floats = DOUBT * compared.std(axis=0) / len(compared) ** 0.5 if len(compared) else np.zeros(more.shape[1])
    return doubt


def multipliers_for(prices_usd: Sequence[float]) -> Floats:
    """0, then from where every price is worth a thousandth of a good answer to where the second cheapest is worth a whole one."""
    paid = sorted(p for p in prices_usd if p > 0.0) or [1.0]
    dear = 1.0 / (paid[1] if len(paid) > 1 else paid[0])
    return np.concatenate([[0.0], np.geomspace(0.001 / paid[-1], 2.0 * dear, GRID)])
