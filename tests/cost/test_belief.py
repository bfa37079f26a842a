from dataclasses import replace

import numpy as np
import pytest

from cost.backtest import Replay
from cost.escalation.belief import believe_one
from cost.escalation.evidence import Encoder
from cost.escalation.fit import fit
from cost.escalation.online import choose_pair, learn_online, show_all
from cost.money import Money
from cost.records import Records, Seen


def said(**answers):
    """Records of single labels by provider, a letter each, `-` where it was not asked."""
    given = {p: [None if label == "-" else (Seen(label, 0.5),) for label in labels] for p, labels in answers.items()}
    n = len(next(iter(given.values())))
    return Records("label", tuple(given), given, [None] * n, {p: np.full(n, np.nan) for p in given})


def chance(records, row, label, anchor=None):
    vocabulary = Encoder.fit(records.without_truth()).vocabulary
    return believe_one(records, anchor).chances[row, vocabulary.index(label)]


def test_a_label_that_is_said_all_the_time_counts_for_less_than_a_rare_one():
    records = said(a="abcabcabca", b="zzzzzzzabc")
    assert chance(records, 0, "a") > chance(records, 0, "z")


def test_the_anchors_word_counts_for_more():
    records = said(a="abcabc", b="bcabca")
    believed = {anchor: chance(records, 0, "a", anchor) for anchor in (None, "a", "b")}
    assert believed["b"] < believed[None] < believed["a"]


def test_who_was_compared_is_known_and_truth_is_not_looked_at(recordings):
    records = recordings(60)
    half = replace(records, answers={**records.answers, "strong": [*records.answers["strong"][:30], *[None] * 30]}).only({"weak", "strong"})
    assert believe_one(half).compared.tolist() == [True] * 30 + [False] * 30
    assert np.array_equal(believe_one(half).chances, believe_one(half.without_truth()).chances)


def test_pictures_picked_for_what_the_first_said_of_them_do_not_tilt_what_is_common():
    everything = said(first="a" * 80 + "b" * 80, second="a" * 80 + "b" * 80)
    picked = said(first="a" * 80 + "b" * 80, second="a" * 8 + "-" * 72 + "b" * 80)
    assert np.exp(believe_one(picked).common) == pytest.approx(np.exp(believe_one(everything).common), abs=0.03)


def test_what_nobody_named_is_never_the_answer():
    """Whenever `first` says a, `second` says b: so b is probably true where only `first` was asked, and all the same it is not answered."""
    records = said(first="aabb" * 30, second="bbbb" * 30)
    policy = fit(records, {"first": 1e-7, "second": 0.001}, believe_one(records, "second"))
    (answer,) = policy.combine({"first": (Seen("a", 0.5),)})
    assert answer.label == "a"
    assert [one.label for one in policy.combine({"first": (Seen("a", 0.5),), "second": (Seen("b", 0.5),)})] in (["a"], ["b"])


def test_pictures_that_only_one_was_asked_about_count_in_what_is_expected_to_be_spent(recordings):
    records = recordings(400).only({"weak", "strong"}).without_truth()
    seldom = replace(
        records, answers={**records.answers, "strong": [a if i % 4 == 0 else None for i, a in enumerate(records.answers["strong"])]}
    )
    usd = {"weak": 1e-7, "strong": 0.001}
    often, once = (fit(r, usd, believe_one(r, "strong")) for r in (records, seldom))
    assert once.spend[0] > 0.5 * often.spend[0], "not a quarter of it"


def test_of_two_that_are_as_often_right_the_cheaper_one_is_the_anchor(recordings):
    test = recordings(200, skill={"base": 0.55, "one": 0.9, "other": 0.9, "poor": 0.6})
    for dear, cheap in (("one", "other"), ("other", "one")):
        prices = {"base": Money(100), "poor": Money.usd("0.0005"), dear: Money.usd("0.004"), cheap: Money.usd("0.001")}
        run = Replay(test, prices, Money.usd("0.06"))
        run.limit = Money.usd("2")
        run.ask(range(150), test.providers)
        run.limit = Money.usd("0.06")
        assert choose_pair(run, range(150))[:2] == ("base", cheap)


def test_a_cheap_one_that_nobody_bears_out_is_not_the_anchor_for_its_price(recordings):
    test = recordings(200, skill={"base": 0.6, "poor": 0.4, "strong": 0.92, "fair": 0.8})
    prices = {"base": Money(100), "poor": Money(200), "strong": Money.usd("0.001"), "fair": Money.usd("0.001")}
    run = Replay(test, prices, Money.usd("1"))
    run.ask(range(150), test.providers)
    assert choose_pair(run, range(150))[:2] == ("base", "strong")


def test_pictures_shown_to_all_are_answered_by_what_is_believed_and_whoever_comes_first_has_no_greater_say(recordings):
    test = recordings(300, skill={"poor": 0.5, "base": 0.55, "good": 0.75, "strong": 0.8})
    prices = {p: Money.usd("0.001") for p in test.providers}
    believed, by_majority, turned = (Replay(t, prices, Money.usd("2")) for t in (test, test, replace(test, providers=test.providers[::-1])))
    for at in range(len(test)):
        show_all(believed, range(at + 1))
        show_all(turned, range(at + 1))
    by_majority.ask(range(len(test)), test.providers)
    assert (believed.reward == turned.reward).all()
    assert believed.reward.mean() > by_majority.reward.mean() + 0.02


def test_a_picture_that_nobody_can_answer_is_answered_with_nothing(recordings, prices):
    test = recordings(3)
    for p in test.providers:
        test.answers[p][2] = None
        test.rewards[p][2] = np.nan
    run = Replay(test, prices, Money.usd("1"))
    for at in range(3):
        show_all(run, range(at + 1))
    assert run.reward[2] == 0.0
    assert run.spent == run.dearest * 2


def test_without_confidences_every_picture_may_be_looked_at(recordings, prices):
    test = recordings(900)
    told = replace(test, answers={p: [(Seen(a[0].label),) for a in test.answers[p]] for p in test.providers})
    run = Replay(told, prices, Money.usd("0.5"))
    learn_online(run)
    assert 10 <= (run.asked["fair"] & run.asked["strong"]).sum() < 300
    assert np.mean(run.reward) > np.mean(test.rewards["weak"]) + 0.05
