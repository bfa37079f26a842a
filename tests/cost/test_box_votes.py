import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import special

from cost.escalation.box_votes import FACTS, STAKE, _shift, fit_boxes, fused_rewards, shown
from cost.escalation.boxes import Drawn, f1, matched

HERE, THERE = (0.1, 0.1, 0.4, 0.4), (0.6, 0.6, 0.9, 0.9)
BOTH = frozenset({"careful", "careless"})
STATES = [frozenset({"careful"}), frozenset({"careless"}), BOTH]


def pictures(n=200, seed=0):
    """One dog a picture. One draws it nearly always and nothing else; the other draws a cat as often as a dog, as surely."""
    rng = np.random.default_rng(seed)
    answers = {"careful": [], "careless": []}
    for _ in range(n):
        dog = [Drawn("dog", HERE, 0.9)] if rng.random() < 0.9 else []
        answers["careful"].append(tuple(dog))
        other = [Drawn("dog", HERE, 0.9)] if rng.random() < 0.5 else [Drawn("cat", THERE, 0.9)]
        answers["careless"].append(tuple(other))
    return answers, [(Drawn("dog", HERE),)] * n


def test_silence_of_one_who_sees_nearly_everything_speaks_against_a_box():
    answers, truth = pictures()
    votes = fit_boxes(answers, truth, STATES)
    [agreed] = votes.combine({"careful": (Drawn("dog", HERE, 0.9),), "careless": (Drawn("dog", HERE, 0.9),)})
    by_label = {t.label: t.chance for t in votes.combine({"careful": (Drawn("dog", HERE, 0.9),), "careless": (Drawn("cat", THERE, 0.9),)})}
    assert agreed.chance > 0.9
    assert by_label["dog"] > 0.5 > by_label["cat"]


def test_a_box_over_a_surer_one_is_thought_to_be_the_same_thing_drawn_again():
    rng = np.random.default_rng(0)
    askew, surer = (0.1, 0.1, 0.4, 0.6), Drawn("dog", HERE, 0.9)
    answers, truth = {"alone": []}, []
    for _ in range(300):
        covered, there = rng.random() < 0.5, rng.random() < 0.8
        answers["alone"].append((surer, Drawn("cat", askew, 0.6)) if covered else (Drawn("cat", THERE, 0.6),))
        truth.append((Drawn("dog", HERE),) if covered else (Drawn("cat", THERE),) * there)
    votes = fit_boxes(answers, truth, [frozenset({"alone"})])
    chance = {drawn: thing.chance for drawn in (askew, THERE) for thing in combined_cats(votes, surer, drawn)}
    assert chance[THERE] > 0.5 > chance[askew]


def combined_cats(votes, surer, drawn):
    return [thing for thing in votes.combine({"alone": (surer, Drawn("cat", drawn, 0.6))}) if thing.label == "cat"]


def test_boxes_without_an_area_cover_nothing():
    answers, truth = pictures()
    votes = fit_boxes(answers, truth, STATES)
    flat = Drawn("dog", (0.2, 0.2, 0.2, 0.3), 0.9)
    assert [t.chance for t in votes.combine({"careful": (flat, flat)})] == pytest.approx(
        [votes.combine({"careful": (flat,)})[0].chance] * 2
    )


def test_what_the_combination_shows_is_at_least_as_good_as_either_alone():
    answers, truth = pictures()
    _, rewards, facts = fused_rewards(answers, truth, STATES)
    alone = {p: np.mean([f1(a, t) for a, t in zip(answers[p], truth, strict=True)]) for p in answers}
    assert rewards[BOTH].mean() >= max(alone.values()) - 0.01
    assert facts[BOTH].shape == (200, FACTS)


def test_a_set_of_providers_that_is_not_known_combines_nothing():
    answers, truth = pictures()
    votes = fit_boxes(answers, truth, STATES)
    assert votes.combine({"stranger": (Drawn("dog", HERE, 0.9),)}) == ()
    facts = votes.facts(frozenset({"stranger"}), {"stranger": [()]}, 1)[0]
    assert facts[STAKE] == 1.0, "as much as usual, for all that is known"
    assert not facts[:STAKE].any()


def test_pictures_that_were_not_asked_about_or_have_no_truth_teach_nothing():
    answers, truth = pictures(60)
    for k in range(0, 60, 2):
        answers["careless"][k] = None
    truth = [None if k % 3 == 0 else t for k, t in enumerate(truth)]
    _, rewards, _ = fused_rewards(answers, truth, STATES)
    assert np.isnan(rewards[BOTH][0:60:2]).all()
    assert np.isnan(rewards[frozenset({"careful"})][0:60:3]).all()


def test_where_most_is_missed_a_doubtful_box_is_worth_showing():
    rng = np.random.default_rng(1)
    answers, truth = {"doubtful": []}, []
    for _ in range(300):
        right = rng.random() < 0.4
        answers["doubtful"].append((Drawn("dog", HERE if right else THERE, 0.3),))
        truth.append((Drawn("dog", HERE),))
    votes = fit_boxes(answers, truth, [frozenset({"doubtful"})])
    assert len(shown(votes.combine({"doubtful": (Drawn("dog", HERE, 0.3),)}))) == 1


@pytest.mark.parametrize(
    ("found", "expected"),
    [([], 0.0), ([Drawn("dog", HERE)], 1.0), ([Drawn("dog", HERE), Drawn("dog", HERE)], 2 / 3), ([Drawn("cat", HERE)], 0.0)],
)
def test_f1_counts_each_true_box_once(found, expected):
    assert f1(found, [Drawn("dog", HERE)]) == pytest.approx(expected)


def test_nothing_where_there_is_nothing_is_right():
    assert f1([], []) == 1.0
    assert matched([], []) == []


def test_an_empty_answer_is_believed_as_far_as_empty_answers_were_right():
    answers, truth = pictures(300)
    silent = votes_of(answers, truth, "careful")
    assert silent < 0.1, "where there always is a dog, silence is a miss"
    for k in range(0, 300, 2):
        answers["careful"][k], truth = (), [*truth[:k], (), *truth[k + 1 :]]
    assert votes_of(answers, truth, "careful") > 0.7


def votes_of(answers, truth, provider):
    """The F1 that an empty answer of this provider expects of itself."""
    votes = fit_boxes(answers, truth, [frozenset({provider})])
    return votes.facts(frozenset({provider}), {provider: [()]}, 1)[0, 0]


def test_a_picture_counts_for_as_many_things_as_are_thought_to_be_on_it():
    answers, truth = {"careful": []}, []
    for k in range(200):
        many = 1 + 4 * (k % 2)
        boxes = [Drawn("dog", (0.1 * j, 0.1, 0.1 * j + 0.08, 0.4), 0.9) for j in range(many)]
        answers["careful"].append(tuple(boxes[: max(many - 1, 1)]))
        truth.append(tuple(boxes))
    votes = fit_boxes(answers, truth, [frozenset({"careful"})])
    stakes = votes.facts(frozenset({"careful"}), {"careful": [answers["careful"][0], answers["careful"][1]]}, 2)[:, STAKE]
    assert stakes == pytest.approx([2 / 4, 6 / 4], abs=0.2), "one more than the things, over one more than the three of a mean picture"


@given(st.lists(st.floats(-4, 6), min_size=1, max_size=40), st.integers(1, 60))
def test_as_many_boxes_are_shown_as_earn_most(odds, there):
    chances = special.expit(np.sort(odds)[::-1])
    expected = 2 * np.cumsum(chances) / (np.arange(1, len(odds) + 1) + there)
    assume(0.02 < expected.max() <= 1)
    many = np.count_nonzero(np.array(odds) + _shift(np.array(odds), np.array([there])) >= -1e-9)
    assert expected[many - 1] == pytest.approx(expected.max())
