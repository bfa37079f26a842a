"""Records as nobody would make them: whatever is in them, a backtest says so in a line or keeps to the budget, and a policy decides."""

import json
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cost.backtest import replay
from cost.escalation.fit import TooFewRecords, fit
from cost.money import NANOS_PER_USD, Money
from cost.records import BadRecords, Records, Seen, rewards_of

NANOS = (0, 0, 1, 100, 500_000, 1_000_000, 1_000_000, 5_000_000_000)
CONFIDENCES = {"none": lambda _: None, "one": lambda _: 0.5, "any": lambda rng: rng.random(), "some": lambda rng: rng.choice([None, 0.3])}


@st.composite
def recorded(draw, pictures=(1, 2, 5, 12, 25, 40, 60, 120, 300)):
    """Records, and what each provider costs."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, labels, kind = draw(st.sampled_from(pictures)), draw(st.sampled_from([1, 2, 5, 30, 150])), draw(st.sampled_from(["label", "tags"]))
    providers = tuple(f"p{i}" for i in range(draw(st.sampled_from([1, 2, 3, 4, 6]))))
    told, marks = draw(st.sampled_from([1.0, 1.0, 0.5, 0.05, 0.0])), draw(st.sampled_from(["by truth", "by truth", "none", "any"]))

    def some_labels():
        return frozenset(f"l{k}" for k in rng.integers(labels, size=1 if kind == "label" else rng.integers(4)))

    truth = [some_labels() if rng.random() < told else None for _ in range(n)]
    answers, rewards, prices = {}, {}, {}
    for p in providers:
        skill, silent = draw(st.sampled_from([0.0, 0.3, 0.7, 0.95, 1.0])), draw(st.sampled_from([0.0, 0.0, 0.3, 0.9, 1.0]))
        sure = CONFIDENCES[draw(st.sampled_from(sorted(CONFIDENCES)))]
        named = [None if rng.random() < silent else true if true and rng.random() < skill else some_labels() for true in truth]
        answers[p] = [None if said is None else tuple(Seen(label, sure(rng)) for label in sorted(said)) for said in named]
        rewards[p] = rewards_of(kind, answers[p], truth)
        if marks != "by truth":
            rewards[p] = np.full(n, np.nan) if marks == "none" else np.where(rng.random(n) < 0.9, rng.integers(0, 3, size=n) / 2, np.nan)
        prices[p] = Money(draw(st.sampled_from(NANOS)))
    return Records(kind, providers, answers, truth, rewards), prices


def keeps_to_the_budget(records, prices, budget, train, *, online):
    try:
        report = replay(records, prices, Decimal(budget), train=train, seed=1, online=online)
    except (BadRecords, TooFewRecords):
        return
    json.dumps(report, allow_nan=False)
    assert report["policy"]["overrun_pct"] == 0.0
    assert report["policy"]["spend_usd_per_10k"] <= float(budget) * (1 + 1e-9)
    assert all(0.0 <= row["accuracy"] <= 1.0 for row in [report["policy"], *report["baselines"].values()])


BUDGETS = st.sampled_from(["0", "0.001", "1", "5", "7.5", "20", "100000"])


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(recorded(pictures=(1, 2, 12, 25, 60)), BUDGETS, st.booleans(), st.sampled_from([0.2, 0.5, 0.8]))
def test_a_backtest_of_any_records_keeps_to_the_budget(recorded, budget, online, train):
    keeps_to_the_budget(*recorded, budget, train, online=online)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@settings(max_examples=2_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(recorded(), BUDGETS, st.booleans(), st.sampled_from([0.2, 0.5, 0.8]))
def test_two_thousand_backtests_of_any_records_keep_to_the_budget(recorded, budget, online, train):
    keeps_to_the_budget(*recorded, budget, train, online=online)


@pytest.fixture(scope="module")
def policies(recordings, prices):
    usd = {p: price.nanos / NANOS_PER_USD for p, price in prices.items()}
    return [fit(recordings(120), usd), fit(recordings(120, labels=150).only({"weak", "strong"}), usd)]


numbers = st.none() | st.floats(0, 1) | st.sampled_from([-1.0, 1e308, float("inf")])
things = st.builds(
    Seen,
    st.sampled_from(["label1", "label4", "new", "", "\0"]) | st.text(max_size=5),
    numbers,
    st.integers(0, 2_000),
    st.none() | st.floats(0, 1),
)
given_answers = st.dictionaries(
    st.sampled_from(["weak", "fair", "strong", "stranger"]), st.none() | st.lists(things, max_size=4).map(tuple)
)
offered = st.dictionaries(st.sampled_from(["weak", "fair", "strong", "stranger"]), st.floats(0, 1e6))


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(given_answers, offered, st.floats(0, 1e9), st.sampled_from([0, 1]))
def test_of_any_answers_a_policy_asks_only_whom_it_may_and_answers_with_what_was_given(policies, answers, usd, multiplier, which):
    policy = policies[which]
    judged = policy.judge(answers, usd, multiplier)
    assert judged == policy.judge(answers, usd, multiplier)
    assert judged.ask is None or (judged.ask in usd and judged.ask not in answers)
    assert judged.answer_by is None or judged.answer_by == "combined" or judged.answer_by in answers
    assert 0.0 <= judged.reward <= 1.0
    assert all(0.0 <= seen.confidence <= 1.0 for seen in policy.combine(answers))
