"""Intervals that hold the truth, a test that may be looked at often, and numbers checked against other ways to get them."""

import math

import numpy as np
import pytest
from scipy import stats

from gateway.experiments import statistics as ours
from gateway.experiments.report import build_report
from gateway.experiments.verdict import verdict_of
from tests.gateway.experiments.arms import Simulation, terms

EQUAL = {"hit_rate": 0.8}


def column(values):
    values = np.asarray(values, dtype=float)
    return values, np.ones_like(values)


def compared(a, b, miss=0.05, **more):
    sides = column(a), column(b)
    draws = [d[:, 0] / d[:, 1] for d in ours.resampled([np.stack(side, axis=1) for side in sides], paired=more.get("paired", True))]
    return ours.compare(*sides, draws[1] - draws[0], miss_once=miss, miss_ever=miss, **{"paired": True} | more)


def test_the_interval_of_a_mean_is_close_to_students():
    chance = np.random.default_rng(3)
    a, b = chance.normal(0, 1, 400), chance.normal(0.3, 1, 400)
    found = compared(a, b).interval
    low, high = stats.ttest_rel(b, a).confidence_interval(0.95)
    assert found.value == pytest.approx(b.mean() - a.mean())
    assert (found.low, found.high) == (pytest.approx(low, abs=0.02), pytest.approx(high, abs=0.02))


def test_arms_with_other_pictures_are_compared_without_pairing():
    chance = np.random.default_rng(3)
    a, b = chance.normal(0, 1, 600), chance.normal(0.3, 2, 300)
    found = compared(a, b, paired=False)
    low, high = stats.ttest_ind(b, a, equal_var=False).confidence_interval(0.95)
    assert (found.interval.low, found.interval.high) == (pytest.approx(low, abs=0.03), pytest.approx(high, abs=0.03))
    assert found.always.low < low
    assert found.always.high > high


def test_the_radius_is_that_of_the_paper():
    """Waudby-Smith et al., theorem 2.2, written out for one case."""
    n, s, miss = 1_000, 2.0, 0.05
    rho2 = (-2 * math.log(miss) + math.log(-2 * math.log(miss) + 1)) / 400
    wanted = s * math.sqrt(2 * (n * rho2 + 1) / (n**2 * rho2) * math.log(math.sqrt(n * rho2 + 1) / miss))
    assert ours.radius(n, s, miss) == pytest.approx(wanted)


def test_the_p_value_and_the_interval_say_the_same():
    for value in (0.1, 0.15, 0.2, 0.3):
        inside = abs(value) <= ours.radius(500, 1.5, 0.05)
        assert (ours.always_valid_p(value, 500, 1.5, 0.05) > 0.05) is inside


def test_the_pictures_needed_are_the_fewest_that_bring_the_radius_down():
    needed = ours.pictures_needed(0.1, 1.0, 0.05)
    assert ours.radius(needed, 1.0, 0.05) <= 0.1 < ours.radius(needed - 1, 1.0, 0.05)
    assert ours.pictures_needed(0.0, 1.0, 0.05) is None
    assert ours.pictures_needed(1e-6, 1.0, 0.05) is None


def test_few_pictures_decide_nothing_however_clear_they_look():
    assert not compared([0.0] * 49, [1.0] * 49).different
    assert compared([0.0] * 50, [1.0] * 50).different


def test_a_broken_split_is_told_and_a_fair_one_is_not():
    assert ours.sample_ratio_p([600, 400], [1, 1]) < 1e-6
    assert ours.sample_ratio_p([510, 490], [1, 1]) > 0.5
    assert ours.sample_ratio_p([0, 0], [1, 1]) == 1.0


def test_the_split_may_be_checked_after_every_unit():
    """Looking 1,000 times at 300 fair splits: a fixed test at 5 % would cry wolf in most of them."""
    chance = np.random.default_rng(5)
    alarms = 0
    for _ in range(300):
        ones = np.cumsum(chance.random(1_000) < 0.5)
        alarms += any(ours.sample_ratio_p([int(ones[n - 1]), n - int(ones[n - 1])], [1, 1]) < 0.05 for n in range(10, 1_001, 10))
    assert alarms <= 15


def test_looking_often_at_nothing_finds_nothing():
    """The sequence alone, on paired hits and misses: 300 runs, a look after every 50 of 2,000 pictures."""
    chance = np.random.default_rng(7)
    differences = (chance.random((300, 2_000)) < 0.8).astype(float) - (chance.random((300, 2_000)) < 0.8)
    false = 0
    for run in differences:
        looks = (run[:n] for n in range(50, 2_001, 50))
        false += any(abs(seen.mean()) > ours.radius(len(seen), seen.std(ddof=1), 0.05) for seen in looks)
    assert false <= 15, "5 % of 300"


def covered(seed, hit_rates=(0.75, 0.9), pictures=128):
    """Whether one simulated run's report has the truth in its intervals: by quantity."""
    a, b = hit_rates
    simulation = Simulation(
        seed, a={"hit_rate": a, "usd": "0.001", "latency_ms": 100}, b={"hit_rate": b, "usd": "0.00225", "latency_ms": 150}
    )
    report = build_report(terms("a", "b", reference="truth"), [simulation.picture(n) for n in range(pictures)], "objects")
    (pair,) = report.pairs
    return {
        "recall a": within(a, report.arms["a"].metrics["recall"]),
        "recall b": within(b, report.arms["b"].metrics["recall"]),
        "recall": within(b - a, pair.differences["recall"].interval),
        "recall, always": within(b - a, pair.differences["recall"].always),
        "latency a": within(100.0, report.arms["a"].latency_ms[0.5]),
        "latency": within(50.0, pair.latency_ms[0.5]),
        "cost": within(1.25, pair.differences["cost_usd_per_1000"].interval),
    }


def within(truth, interval):
    return interval.low - 1e-9 <= truth <= interval.high + 1e-9


def false_verdicts(runs, pictures):
    """Of A/A runs, how many said at any look, after every 50 pictures, that one arm is better or that anything differs."""
    found = 0
    for seed in range(runs):
        simulation = Simulation(10_000 + seed, a=EQUAL, b=EQUAL)
        seen = [simulation.picture(n) for n in range(pictures)]
        found += any(_says_something(seen[:n]) for n in range(50, pictures + 1, 50))
    return found


def _says_something(seen):
    report = build_report(terms("a", "b", reference="truth"), seen, "objects")
    return verdict_of(report).kind == "better" or any(one.different for one in report.pairs[0].differences.values())


def test_the_report_of_a_few_simulated_runs_has_the_truth_within_its_intervals():
    runs = [covered(seed) for seed in range(6)]
    assert sum(all(run.values()) for run in runs) >= 5


def test_a_few_runs_of_the_same_arm_twice_stay_quiet():
    assert false_verdicts(runs=3, pictures=200) == 0


@pytest.mark.slow
def test_the_truth_is_within_every_interval_at_once_in_95_percent_of_200_runs():
    runs = [covered(seed) for seed in range(200)]
    share = {name: sum(run[name] for run in runs) / 200 for name in runs[0]}
    together = sum(all(run.values()) for run in runs)
    print(share, together)
    assert min(share.values()) >= 0.95
    assert together >= 190


@pytest.mark.slow
def test_the_same_arm_twice_gives_under_5_percent_false_verdicts_though_looked_at_after_every_50_pictures():
    found = false_verdicts(runs=200, pictures=500)
    print(found)
    assert found < 10
