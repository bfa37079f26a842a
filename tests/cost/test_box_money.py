"""Where the money goes when the answers are boxes: to the pictures where most is at stake."""

import numpy as np
import pytest

from cost import records
from cost.backtest import Replay
from cost.escalation import box_votes
from cost.escalation.artefact import BadArtefact, from_json, to_json
from cost.escalation.box_votes import FACTS
from cost.escalation.fit import fit
from cost.escalation.fit_state import better_alone
from cost.escalation.policy import COMBINED
from cost.money import Money
from cost.pacing import Pacer
from cost.record_lines import from_rows

PRICES = {"own": Money(0), "cheap": Money.usd("0.001"), "dear": Money.usd("0.00225")}
USD = {p: price.nanos / 1e9 for p, price in PRICES.items()}
SEES = {"own": 0.4, "cheap": 0.9, "dear": 0.92}
IMAGINES = {"own": 1.0, "cheap": 0.1, "dear": 0.2}


def scenes(n=128, seed=0, marked=None):
    """A few things on most pictures, many on some; everybody misses some of them and imagines others, less surely.

    `marked`: a provider whose answers somebody has looked at and found perfect.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        there = min(1 + int(rng.exponential(6)), 40)
        true = [thing(k, None) for k in range(there)]
        answers = {}
        for p, share in SEES.items():
            seen = [thing(k, rng.beta(9, 2)) for k in range(there) if rng.random() < share]
            answers[p] = {"found": seen + [thing(k, rng.beta(3, 5)) for k in rng.integers(40, 80, rng.poisson(IMAGINES[p]))]}
        if marked:
            answers[marked]["reward"] = 1.0
        rows.append({"feature": "objects", "answers": answers, "truth": true})
    return from_rows(rows)


def thing(place, confidence):
    """One of eighty places that do not overlap."""
    left, top = place % 10 / 10, place // 10 / 10
    return {"label": "dog", "confidence": confidence, "box": [left, top, left + 0.08, top + 0.08]}


def parts(seed):
    """64 pictures to learn from, and 64 others."""
    everything = scenes(seed=seed)
    return everything.take(range(64)), everything.take(range(64, 128))


def replayed(policy, test, limit):
    run = Replay(test, PRICES, limit)
    run.run(policy, Pacer(policy.multiplier_for), 0, len(test))
    return run


@pytest.fixture(scope="module")
def policies():
    return [fit(parts(seed)[0], USD) for seed in range(5)]


@pytest.fixture(scope="module")
def half_the_price(policies):
    """What came of each of five times 64 pictures at half of what the dear one asks."""
    return [replayed(policy, parts(seed)[1], PRICES["dear"] * 32) for seed, policy in enumerate(policies)]


def weighted(test, reward):
    """Mean reward where each thing counts alike, on whatever picture it is."""
    return np.mean(test.stakes() * reward)


def test_half_the_price_of_the_best_provider_buys_answers_at_least_as_good(half_the_price):
    better = [weighted(run.test, run.reward - run.test.rewards["dear"]) for run in half_the_price]
    assert np.mean(better) > 0.0
    assert sum(b >= 0.0 for b in better) >= 3
    assert all(run.spent <= run.limit for run in half_the_price)


def test_the_dear_answers_go_to_pictures_with_many_things(half_the_price):
    for run in half_the_price:
        assert run.test.stakes()[run.asked["dear"]].mean() > 1.2


@pytest.mark.parametrize("seed", range(3))
def test_scarce_money_buys_more_than_where_each_picture_counts_alike(policies, seed, monkeypatch):
    """At half of the price a cheap answer is had for every picture, with stakes or without: here for one of four."""
    taught, test = parts(seed)
    limit = PRICES["cheap"] * 16
    aware = replayed(policies[seed], test, limit)
    stakes = test.stakes()
    for module in (records, box_votes):
        monkeypatch.setattr(module, "stake", lambda _things, _usual: 1.0)
    blind = replayed(fit(taught, USD), test, limit)
    monkeypatch.undo()
    assert stakes[aware.asked["cheap"]].mean() > 1.2
    assert stakes[blind.asked["cheap"]].mean() < 1.0
    assert weighted(test, aware.reward) > weighted(test, blind.reward) + 0.02
    assert max(aware.spent, blind.spent) <= limit


def test_a_picture_counts_by_its_things_and_one_of_which_nothing_is_known_as_one(recordings):
    seen = scenes(3)
    assert seen.stakes().mean() == pytest.approx(1.0)
    assert (seen.stakes().argsort() == np.argsort([len(true) for true in seen.true_boxes])).all()
    assert (recordings(5).stakes() == 1.0).all(), "labels without boxes count alike"


def test_boxes_are_combined_where_no_provider_is_measurably_better_alone(policies):
    for policy in policies:
        assert {model.candidates for state, model in policy.states.items() if state} == {(COMBINED,)}


def test_a_provider_that_is_measurably_better_alone_answers_in_its_own_words():
    states = fit(scenes(64, marked="cheap"), USD).states
    assert states[frozenset({"cheap"})].candidates == states[frozenset({"cheap", "own"})].candidates == ("cheap",)
    assert states[frozenset({"dear"})].candidates == states[frozenset({"dear", "own"})].candidates == (COMBINED,)


@pytest.mark.parametrize(
    ("ahead", "sure"),
    [
        (np.full(9, 0.1), False),
        (np.full(10, 0.1), True),
        (np.full(10, np.nan), False),
        (np.tile([-1.0, 1.1], 50), False),
        (np.full(10, -0.1), False),
    ],
)
def test_better_by_what_chance_explains_or_on_a_handful_of_pictures_is_not_better(ahead, sure):
    assert better_alone(ahead, np.ones(len(ahead))) is sure


def test_what_a_single_label_says_is_no_evidence_of_boxes(policies):
    everybody = frozenset(USD)
    for policy in policies:
        assert policy.states[everybody].worth.shape == (1 + FACTS + 4 * len(everybody), 1)


def test_a_policy_of_boxes_by_a_release_that_did_not_know_what_covers_a_box_is_refused(policies):
    artefact = to_json(policies[0])
    assert from_json(artefact).boxes is not None
    with pytest.raises(BadArtefact, match="version 5 of boxes"):
        from_json({**artefact, "version": 5})
