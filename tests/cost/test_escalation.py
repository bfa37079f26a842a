import json
from dataclasses import replace

import numpy as np
import pytest

from cost.backtest import Replay
from cost.escalation.artefact import BadArtefact, from_json, to_json
from cost.escalation.boxes import Vote, fuse, overlap
from cost.escalation.consensus import believe
from cost.escalation.evidence import LABELS_MAX, SHARED, Encoder
from cost.escalation.fit import TooFewRecords, fit
from cost.escalation.learn import learn, with_beliefs
from cost.escalation.policy import COMBINED
from cost.escalation.tune import WorseFit, refit
from cost.money import NANOS_PER_USD, Money
from cost.pacing import Pacer
from cost.record_files import from_csv
from cost.records import Records, Seen

USD = {"weak": 1e-7, "fair": 0.0005, "strong": 0.001}


@pytest.fixture(scope="module")
def policy(recordings):
    return fit(recordings(900), USD)


def answered(confidence):
    return {"weak": (Seen("label1", confidence),)}


def test_it_asks_on_where_the_gain_is_worth_the_price(policy):
    prices = {"fair": 0.0005, "strong": 0.001}
    unsure, sure = (policy.judge(answered(c), prices, 100.0) for c in (0.05, 0.99))
    assert unsure.gains["strong"] > sure.gains["strong"]
    assert unsure.reward < sure.reward
    assert unsure.ask is not None
    assert policy.judge(answered(0.05), prices, 1e6).ask is None, "no gain is worth that"
    assert policy.judge(answered(0.05), {}, 0.0).ask is None, "nobody is allowed"
    assert policy.judge(answered(0.05), {"strong": 0.001}, 0.0).ask == "strong"


def test_before_any_answer_somebody_is_asked_whatever_it_costs(policy):
    first = policy.judge({}, USD, 1e9)
    assert (first.ask, first.answer_by) == ("weak", None)
    assert policy.judge({}, {"strong": 0.001}, 1e9).ask == "strong"


def test_where_nothing_is_known_of_a_provider_it_answers_itself(policy):
    judged = policy.judge({"newcomer": (Seen("label1", 0.9),), "weak": None}, {"strong": 0.001}, 1.0)
    assert judged.answer_by in {COMBINED, "weak", "newcomer"}
    assert policy.combine({"newcomer": (Seen("label1", 0.9),)}) == ()


def test_answers_are_combined_into_one_with_its_calibrated_probability(policy):
    agreed = policy.combine({p: (Seen("label2", 0.9),) for p in USD})
    split = policy.combine({"weak": (Seen("label2", 0.5),), "strong": (Seen("label1", 0.9),)})
    assert [s.label for s in agreed] == ["label2"]
    assert [s.label for s in split] == ["label1"]
    assert 0.5 < split[0].confidence < agreed[0].confidence <= 1.0


def test_probabilities_are_calibrated_on_pictures_it_has_not_seen(policy, recordings):
    fresh = recordings(1200, seed=9)
    evidence = policy.encoder.encode(fresh.answers)
    view = policy.view(frozenset(USD), evidence, len(fresh))
    right = np.array([policy.encoder.vocabulary[k] in t for k, t in zip(view.probabilities.argmax(axis=1), fresh.truth, strict=True)])
    assert abs(view.rewards[:, 0].mean() - right.mean()) < 0.03


def test_less_money_makes_a_greater_multiplier(policy):
    multipliers = [policy.multiplier_for(usd) for usd in (0.0, 1e-4, 3e-4, 6e-4, 1.0)]
    assert multipliers == sorted(multipliers, reverse=True)
    assert multipliers[-1] == 0.0


def test_a_policy_survives_json_and_decides_alike(policy):
    again = from_json(json.loads(json.dumps(to_json(policy))))
    for confidence in (0.1, 0.5, 0.9):
        for multiplier in (0.0, 50.0, 400.0):
            before, after = (p.judge(answered(confidence), USD, multiplier) for p in (policy, again))
            assert (before.ask, before.answer_by) == (after.ask, after.answer_by)
            assert before.gains == pytest.approx(after.gains, abs=1e-4)


def test_what_nobody_named_is_not_answered_by_a_policy_that_was_read_either(recordings):
    records = recordings(300).without_truth()
    again = from_json(json.loads(json.dumps(to_json(learn(records, USD)))))
    assert again.states[frozenset(USD)].votes.named_only
    assert [one.label for one in again.combine({"strong": (Seen("label1", 0.01),)})] == ["label1"]


def test_an_artefact_of_the_version_before_decides_as_it_did(policy):
    artefact = {**json.loads(json.dumps(to_json(policy))), "version": 3}
    for state in artefact["states"]:
        if state["votes"] is not None:
            del state["votes"]["named_only"]
    assert from_json(artefact).judge(answered(0.2), USD, 50.0).ask == policy.judge(answered(0.2), USD, 50.0).ask


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("few", [40, 64, 150])
def test_from_few_records_nobody_is_asked_before_one_that_is_free(recordings, few, seed):
    few_taught = fit(recordings(few, seed=seed), USD)
    first = {few_taught.judge({}, USD, multiplier).ask for multiplier in few_taught.multipliers.tolist()}
    assert first == {"weak"}


def test_who_is_cheaper_but_tells_nothing_is_not_asked_first_for_its_price(recordings):
    """A coin's answer at half the price: many records show that it is wasted."""
    records = recordings(1500, skill={"coin": 0.2, "strong": 0.95})
    usd = {"coin": 0.0005, "strong": 0.001}
    policy = fit(records, usd)
    assert policy.judge({}, usd, 100.0).ask == "strong"


@pytest.mark.parametrize("artefact", [{}, {"version": 99}, {"version": 1}, {"version": 1, "kind": "label", "vocabulary": 3}])
def test_an_artefact_of_another_making_is_refused(artefact):
    with pytest.raises(BadArtefact):
        from_json(artefact)


def test_a_warped_scale_of_confidence_changes_nothing(recordings):
    records = recordings(400)
    warped = {p: [(Seen(a[0].label, 1000 * a[0].confidence ** 3 - 7),) for a in records.answers[p]] for p in USD}
    before, after = (
        Encoder.fit(r).encode(r.answers) for r in (records, Records("label", records.providers, warped, records.truth, records.rewards))
    )
    assert all((before[p].shape == after[p].shape).all() for p in USD)


def test_tags_are_combined_to_more_than_any_provider_alone():
    rng = np.random.default_rng(0)
    lines = ["true_labels,labels_a,labels_b,reward_blind"]
    for _ in range(400):
        truth = [t for t in "stu" if rng.random() < 0.5]
        tags = ["|".join(f"{t}:{rng.uniform(0.6, 1):.2f}" for t in truth if rng.random() < 0.7) for _ in "ab"]
        noise = f"v:{rng.uniform(0, 0.5):.2f}" if rng.random() < 0.5 else ""
        lines.append(f"{'|'.join(truth)},{'|'.join(filter(None, [tags[0], noise]))},{tags[1]},0.2")
    records = from_csv("\n".join(lines))
    policy = fit(records, {"a": 0.0, "b": 0.001, "blind": 0.002})
    both = policy.states[frozenset("ab")]
    assert both.candidates == (COMBINED,)
    assert policy.reward[0] > max(records.rewards[p].mean() for p in "ab") + 0.05
    combined = policy.combine({"a": (Seen("s", 0.9), Seen("v", 0.1)), "b": (Seen("t", 0.9),)})
    assert {s.label for s in combined} == {"s", "t"}


def test_a_provider_that_shows_only_rewards_can_be_chosen():
    records = from_csv("true_labels,labels_a,reward_blind\n" + "\n".join(f"s,{'s:0.9' if i % 2 else 't:0.9'},0.9" for i in range(200)))
    policy = fit(records, {"a": 0.0001, "blind": 0.0001})
    assert policy.judge({}, {"a": 0.0001, "blind": 0.0001}, 0.0).ask is not None
    assert policy.judge({"blind": None}, {}, 0.0).answer_by == "blind"


def test_rewards_that_labels_do_not_explain_are_chosen_between_not_combined(recordings):
    records = recordings(300)
    odd = Records("label", records.providers, records.answers, records.truth, {p: 0.5 * r for p, r in records.rewards.items()})
    assert set(fit(odd, USD).states[frozenset(USD)].candidates) == set(USD)


def test_nothing_is_fitted_on_nothing(recordings):
    with pytest.raises(TooFewRecords):
        fit(recordings(5), USD)


def test_without_a_truth_the_one_whom_others_bear_out_is_believed(recordings):
    records = recordings(300)
    believed = believe(records)
    vocabulary = Encoder.fit(records.without_truth()).vocabulary
    right = np.mean([vocabulary[k] in t for k, t in zip(believed.argmax(axis=1), records.truth, strict=True)])
    assert right > records.rewards["strong"].mean() - 0.03
    assert np.allclose(believed, believe(records.without_truth())), "truth and rewards are not looked at"


def test_a_refit_without_a_truth_believes_as_online_and_calls_it_agreement(recordings):
    prices = {p: Money(round(usd * 1e9)) for p, usd in USD.items()}
    records = recordings(500)
    tuned = refit(None, records.without_truth(), prices, Money(500_000))
    assert (tuned.policy.target, tuned.held_out) == ("agreement", 100)
    told = refit(None, records, prices, Money(500_000)).policy
    fresh = recordings(800, seed=9)
    answers = [{p: fresh.answers[p][i] for p in USD} for i in range(len(fresh))]
    blind, known = (np.mean([p.combine(a)[0].label in t for a, t in zip(answers, fresh.truth, strict=True)]) for p in (tuned.policy, told))
    assert fresh.rewards["strong"].mean() + 0.03 < known - 0.04 < blind
    assert tuned.policy.states[frozenset(USD)].votes.named_only


def test_a_worse_fit_is_refused(recordings, policy):
    prices = {"weak": Money(100), "fair": Money(500_000), "strong": Money(1_000_000)}
    good = recordings(300, seed=4)
    misled = recordings(300, seed=5, skill={"weak": 0.3, "fair": 0.3, "strong": 0.3})
    both = Records(
        "label",
        good.providers,
        {p: [*misled.answers[p], *good.answers[p][:80]] for p in USD},
        [*misled.truth, *good.truth[:80]],
        {p: np.concatenate([misled.rewards[p], good.rewards[p][:80]]) for p in USD},
    )
    with pytest.raises(WorseFit, match="held-out"):
        refit(policy, both, prices, Money(400_000))
    tuned = refit(None, good, prices, Money(400_000))
    assert (tuned.policy.records, tuned.before) == (300, None)


def test_the_latest_records_of_which_anything_is_known_are_the_judges(recordings):
    prices = {p: Money(round(usd * NANOS_PER_USD)) for p, usd in USD.items()}
    records = recordings(300)
    known = np.arange(300) < 200
    latest_untold = replace(
        records,
        truth=[t if k else None for t, k in zip(records.truth, known, strict=True)],
        rewards={p: np.where(known, r, np.nan) for p, r in records.rewards.items()},
    )
    tuned = refit(None, latest_untold, prices, Money(400_000))
    assert (tuned.held_out, tuned.reward is not None) == (40, True)
    opaque = replace(records, answers={p: [None] * 300 for p in USD}, truth=[None] * 300)
    blind = refit(tuned.policy, opaque, prices, Money(400_000))
    assert (blind.before, blind.reward is not None) == (None, True), "a policy that looks at labels can't be judged where there are none"


def test_boxes_around_one_thing_become_one():
    votes = [
        Vote("local", "dog", 0.5, (0.10, 0.1, 0.5, 0.5)),
        Vote("cloud", "dog", 0.8, (0.12, 0.1, 0.5, 0.5)),
        Vote("cloud", "cat", 0.9, (0.1, 0.1, 0.5, 0.5)),
        Vote("cloud", "dog", 0.3, (0.11, 0.1, 0.5, 0.5)),
    ]
    fused = fuse(votes)
    assert [(f.label, len(f.votes)) for f in fused] == [("cat", 1), ("dog", 2), ("dog", 1)], "a provider has one vote on a thing"
    assert fused[1].chance == pytest.approx(0.9)
    assert fused[1].corners[0] == pytest.approx((0.5 * 0.10 + 0.8 * 0.12) / 1.3)
    assert fuse(reversed(votes)) == fused
    assert overlap((0, 0, 0, 0), (0, 0, 1, 1)) == overlap((0, 0, 0.2, 0.2), (0.5, 0.5, 1, 1)) == 0.0


def test_of_hundreds_of_labels_the_rare_ones_are_answered_too(recordings):
    many = recordings(1_200, labels=300)
    policy = fit(many.take(range(600)), USD)
    assert len(policy.encoder.vocabulary) == LABELS_MAX
    for read in (policy, from_json(json.loads(json.dumps(to_json(policy))))):
        run = Replay(many.take(range(600, 1_200)), {p: Money(round(usd * NANOS_PER_USD)) for p, usd in USD.items()}, Money.usd("1"))
        run.run(read, Pacer(read.multiplier_for), 0, 600)
        assert run.reward.mean() > run.test.rewards["strong"].mean() - 0.02, "combined, and not only of what is common"
    rare = next(label for label in (f"label{k}" for k in range(300)) if label not in policy.encoder.vocabulary)
    said = policy.combine({p: (Seen(rare, 0.95),) for p in ("fair", "strong")})
    assert [seen.label for seen in said] == [rare]


def test_hundreds_of_tags_are_combined_and_believed_by_their_own_names(recordings):
    many = recordings(600, labels=300)
    tags = replace(many, kind="tags")
    policy = fit(tags, USD)
    said = policy.combine({p: tags.answers[p][0] for p in ("weak", "fair", "strong")})
    assert {seen.label for seen in said} <= {seen.label for p in tags.providers for seen in tags.answers[p][0]}
    for untold in (many.without_truth(), tags.without_truth()):
        believed = with_beliefs(untold)
        right = [true == told for true, told in zip(believed.truth, many.truth, strict=True)]
        assert np.mean(right) > 0.7, "two of three agree on so many"


def test_a_label_never_seen_before_has_no_column(recordings):
    few, many = (Encoder.fit(recordings(900, labels=n)) for n in (5, 300))
    assert few.column("new") is None
    assert many.vocabulary[many.column("new")] in SHARED
    assert many.labels_at(many.column("new"), [None, (Seen("new"), Seen("label0"))]) == ["new"]
    assert many.labels_at(many.column("new"), [()]) == []


def test_whatever_is_damaged_in_an_artefact_it_is_refused(policy):
    whole = json.loads(json.dumps(to_json(policy)))
    assert from_json(json.loads(json.dumps(whole, indent=1, sort_keys=True))).records == policy.records
    for change in (
        {"records": 9},
        {"alone": {}},
        {"states": whole["states"][:-1]},
        {"spend": [0.0] * len(whole["spend"])},
        {"sha256": None},
    ):
        with pytest.raises(BadArtefact, match="damaged"):
            from_json({**whole, **change})
    broken = {"version": 6, "kind": "label", "vocabulary": [], "knots": [], "boxes": None}
    states = [{"answered": [], "votes": None, "candidates": [], "worth": {"shape": [1, 0], "values": []}, "onward": "x"}]
    with pytest.raises(BadArtefact, match="not a policy"):
        from_json({**broken, "states": states})
