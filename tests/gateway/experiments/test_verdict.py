"""The one sentence: which it is, and when."""

import numpy as np
import pytest

from gateway.experiments.report import build_report
from gateway.experiments.terms import Arm, ArmAnswer, Observation, Stop
from gateway.experiments.verdict import verdict_of
from gateway.web.experiment_view import view_of
from tests.gateway.experiments.arms import Simulation, terms, thing


def verdict_on(seen, *arms, **more):
    return verdict_of(build_report(terms(*(arms or ("a", "b")), **{"reference": "truth"} | more), seen, "objects"))


def pictures(count, seed=1, **arms):
    simulation = Simulation(seed, **arms)
    return [simulation.picture(n) for n in range(count)]


def test_the_better_arm_is_named_with_its_lead_and_what_more_it_costs():
    found = verdict_on(pictures(150, a={"hit_rate": 0.6, "usd": "0"}, b={"hit_rate": 0.9, "usd": "0.00225"}))
    assert (found.kind, found.winner) == ("better", "b")
    assert found.sentence.startswith("b is better than a: it is right to ")
    assert "for 2.25 USD a 1,000 pictures as billed, against 0.00 from a" in found.sentence
    assert "for each further correct detection" in found.sentence
    assert found.sentence.count(". ") == 0, "one sentence"


def test_what_may_be_chance_is_called_open_and_the_pictures_still_needed_are_told():
    found = verdict_on(pictures(60, a={"hit_rate": 0.8}, b={"hit_rate": 0.83}))
    assert (found.kind, found.winner) == ("undecided", None)
    assert found.pictures_needed >= 10
    assert f"about {found.pictures_needed} pictures more" in found.sentence
    more = verdict_on(pictures(60 + found.pictures_needed, a={"hit_rate": 0.7}, b={"hit_rate": 0.85}))
    assert more.kind == "better"


def test_where_nothing_differs_that_matters_the_cheaper_arm_is_to_be_taken():
    seen = pictures(400, a={"hit_rate": 0.8, "usd": "0.001"}, b={"hit_rate": 0.8, "usd": "0.0005"})
    found = verdict_on(seen, stop=Stop(difference=0.08))
    assert (found.kind, found.winner) == ("equal", "b")
    assert "equally good within 8 points: take b" in found.sentence
    same = verdict_on(pictures(400, a={"hit_rate": 0.8}, b={"hit_rate": 0.8}), stop=Stop(difference=0.08))
    assert (same.kind, same.winner) == ("equal", None)


def test_a_broken_split_is_not_interpreted():
    chance = np.random.default_rng(2)
    arms = (Arm("a"), Arm("b"))
    simulation = Simulation(1, a={"hit_rate": 0.9}, b={"hit_rate": 0.1})
    seen = []
    for n in range(400):
        one = simulation.picture(n)
        arm = "a" if chance.random() < 0.7 else "b"
        seen.append(Observation(one.digest, one.unit, 1, 1, {arm: one.answers[arm]}, one.truth))
    found = verdict_on(seen, *arms, mode="split")
    assert found.kind == "broken"
    assert "the split is broken" in found.sentence


@pytest.mark.parametrize("share", [0.5, 0.7])
def test_a_split_is_decided_by_its_truth(share):
    chance = np.random.default_rng(2)
    simulation = Simulation(1, a={"hit_rate": 0.9}, b={"hit_rate": 0.5})
    seen = []
    for n in range(400):
        one = simulation.picture(n)
        arm = "a" if chance.random() < share else "b"
        seen.append(Observation(one.digest, one.unit, 1, 1, {arm: one.answers[arm]}, one.truth))
    found = verdict_on(seen, Arm("a", weight=share), Arm("b", weight=1 - share), mode="split")
    assert (found.kind, found.winner) == ("better", "a")


def test_agreement_is_never_called_right():
    seen = pictures(120, a={"hit_rate": 0.5}, b={"hit_rate": 0.9}, c={"hit_rate": 0.97})
    seen = [Observation(one.digest, one.unit, 1, 1, one.answers) for one in seen]
    found = verdict_on(seen, "a", "b", "c", reference="c")
    assert (found.kind, found.winner) == ("better", "b")
    assert "it agrees with c to" in found.sentence
    assert "right" not in found.sentence


@pytest.mark.parametrize(("reference", "held_against"), [("a", "reference"), (None, "each_other")])
def test_the_arm_that_others_are_held_against_has_no_quality_of_its_own(reference, held_against):
    seen = pictures(60, a={"hit_rate": 0.5}, b={"hit_rate": 0.9}, c={"hit_rate": 0.97})
    seen = [Observation(one.digest, one.unit, 1, 1, one.answers) for one in seen]
    report = build_report(terms("a", "b", "c", reference=reference), seen, "objects")
    assert (report.judged.yardstick, report.judged.reference) == (held_against, "a")
    assert np.isnan(report.arms["a"].metrics["f1"].value), "held against itself it would be perfect"
    assert np.isfinite(report.arms["a"].metrics["cost_usd_per_1000"].value)
    assert np.isfinite(report.arms["b"].metrics["f1"].value)
    view = view_of(report)
    assert view.plot.title == "F1 held against a by the cost of 1,000 pictures"
    assert [point.arm for point in view.plot.points] == ["b", "c"]
    assert view.lines[0].note == "higher is better; held against a"


def test_without_a_truth_it_is_said_that_nobody_knows_until_people_have_judged():
    seen = [Observation(f"{n:064}", str(n), 1, 1, {"a": ArmAnswer((thing(),)), "b": ArmAnswer((thing("cat"),))}) for n in range(60)]
    found = verdict_on(seen, reference=None)
    assert found.kind == "unknown"
    assert "judge 50 pictures more" in found.sentence
    judged = [Observation(one.digest, one.unit, 1, 1, one.answers, None, frozenset({"b"})) for one in seen]
    found = verdict_on(judged, reference=None)
    assert (found.kind, found.winner) == ("better", "b")
    assert "people call it right for 100.0 %" in found.sentence


def test_nothing_seen_is_no_verdict():
    assert verdict_on([]).kind == "empty"
