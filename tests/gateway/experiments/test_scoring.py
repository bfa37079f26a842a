"""What is right, wrong, missed, and what is none of these: features one by one."""

from gateway.experiments.answers import judge
from gateway.experiments.scoring import CROWD, score
from gateway.experiments.terms import ArmAnswer, Observation
from tests.gateway.experiments.arms import terms, thing

HERE, THERE, ASIDE = (0.1, 0.1, 0.5, 0.5), (0.6, 0.6, 0.9, 0.9), (0.12, 0.1, 0.52, 0.5)


def counts(result):
    return result.right, result.wrong, result.missed


def test_two_dogs_where_one_is_are_one_right_and_one_wrong():
    result = score("objects", [thing(box=HERE), thing(box=THERE)], [thing(box=ASIDE)], None)
    assert counts(result) == (1, 1, 0)
    assert result.count_error == 1
    assert 0.85 < result.overlap < 1
    assert result.by_label == {"dog": (1, 1, 0)}


def test_the_right_label_in_the_wrong_place_is_wrong_and_missed():
    assert counts(score("objects", [thing(box=HERE)], [thing(box=THERE)], None)) == (0, 1, 1)
    assert score("objects", [thing(box=HERE)], [thing(box=THERE)], None).count_error == 0


def test_what_only_one_side_can_say_is_counted_apart_and_not_as_an_error():
    result = score("objects", [thing("tire"), thing("dog")], [thing("dog"), thing("zebra")], frozenset({"dog"}))
    assert counts(result) == (1, 0, 0)
    assert dict(result.apart) == {"tire": 1, "zebra": 1}


def test_what_is_found_in_a_crowd_is_neither_right_nor_wrong():
    crowd = thing(box=(0.5, 0.5, 1.0, 1.0), said=CROWD)
    assert counts(score("objects", [thing(box=THERE), thing(box=HERE)], [crowd], None)) == (0, 1, 0)


def test_labels_are_compared_as_sets_of_names():
    found = [thing("dog", None, feature="labels"), thing("dog", None, feature="labels"), thing("cat", None, feature="labels")]
    assert counts(score("labels", found, [thing("dog", None, feature="labels"), thing("sky", None, feature="labels")], None)) == (1, 1, 1)


def test_a_misread_letter_is_the_same_word_and_another_word_is_not():
    read, there = (thing("text", HERE, feature="text", text=words) for words in ("Parking prohibitad", "parking PROHIBITED today"))
    result = score("text", [read], [there], None)
    assert counts(result) == (2, 0, 1)
    assert 0.6 < result.likeness < 0.9


def test_other_features_are_left_aside():
    assert counts(score("faces", [thing()], [thing()], None)) == (0, 0, 0)


def test_nothing_found_where_nothing_is_agrees():
    assert score("objects", [], [], None).f1 == 1.0
    assert score("objects", [thing()], [], None).f1 == 0.0


def seen(*detections, **more):
    return ArmAnswer(detections, **{"provider": "toy"} | more)


def picture(n=0, truth=None, **answers):
    return Observation(f"{n:064x}", str(n), 640, 480, answers, truth)


def test_a_providers_known_names_count_though_it_has_never_said_them():
    """Rekognition knows zebras, so that it misses one here; it has no box for skis, and nobody knows what the toy can say."""
    there = (thing("zebra", HERE), thing("skis", THERE))
    one = picture(truth=there, rekognition=seen(provider="rekognition"), toy=seen())
    judged = judge(terms("rekognition", "toy", reference="truth"), [one], "objects")
    assert counts(judged.rows["rekognition"][0].score) == (0, 0, 1)
    assert counts(judged.rows["toy"][0].score) == (0, 0, 0)
    assert judged.apart["skis"] == {"truth": 1}


def test_unsure_detections_are_not_compared():
    one = picture(truth=(thing(),), a=seen(thing(confidence=0.49)), b=seen(thing(confidence=0.5)))
    judged = judge(terms("a", "b", reference="truth"), [one], "objects")
    assert [counts(judged.rows[arm][0].score) for arm in "ab"] == [(0, 0, 1), (1, 0, 0)]


def test_a_picture_that_one_arm_failed_on_counts_for_nobodys_quality():
    one = picture(truth=(thing(),), a=seen(thing()), b=seen(error="deadline_exceeded"))
    judged = judge(terms("a", "b", reference="truth"), [one], "objects")
    assert [judged.rows[arm][0].score for arm in "ab"] == [None, None]


def test_the_reference_is_what_the_others_are_held_against():
    one = picture(a=seen(thing(), provider="a"), b=seen(thing(), thing(box=THERE), provider="b"))
    judged = judge(terms("a", "b", reference="b"), [one], "objects")
    assert (judged.yardstick, judged.reference) == ("reference", "b")
    assert counts(judged.rows["a"][0].score) == (1, 0, 1)


def test_pictures_disagree_by_how_little_of_their_answers_is_common():
    same = picture(0, a=seen(thing()), b=seen(thing()))
    half = picture(1, a=seen(thing()), b=seen(thing(), thing(box=THERE)))
    none = picture(2, a=seen(thing()), b=seen(thing(box=THERE)))
    judged = judge(terms("a", "b"), [same, half, none], "objects")
    assert judged.yardstick == "each_other"
    assert [round(value, 3) for value in judged.disagreement] == [0.0, 0.333, 1.0]
