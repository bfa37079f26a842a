"""Pairs of boxes: one to one, as many as possible, the best overlapping, of one label; held against every pairing there is."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.experiments.matching import covered, match_things, overlaps
from providers.contract import BoundingBox
from tests.gateway.experiments.arms import thing

edges = st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0])
boxes = st.tuples(edges, edges, edges, edges).map(lambda e: BoundingBox.clamped(*e))
things = st.lists(st.builds(lambda label, b: thing(label, (b.x_min, b.y_min, b.x_max, b.y_max)), st.sampled_from("ab"), boxes), max_size=4)


def iou(a, b):
    if a == b:
        return 1.0
    width = max(0.0, min(a.x_max, b.x_max) - max(a.x_min, b.x_min))
    height = max(0.0, min(a.y_max, b.y_max) - max(a.y_min, b.y_min))
    both = (a.x_max - a.x_min) * (a.y_max - a.y_min) + (b.x_max - b.x_min) * (b.y_max - b.y_min) - width * height
    return width * height / both if both > 0 else 0.0


def best_of_all(found, known, iou_min):
    """The number of pairs and their overlap, by trying every pairing."""
    best = (0, 0.0)
    padded = [*range(len(known)), *[None] * len(found)]
    for choice in set(permutations(padded, len(found))):
        chosen = [(found[i], known[j]) for i, j in enumerate(choice) if j is not None]
        pairs = [iou(a.box, b.box) for a, b in chosen if a.label == b.label and iou(a.box, b.box) >= iou_min]
        best = max(best, (len(pairs), sum(pairs)))
    return best


@given(found=things, known=things, iou_min=st.sampled_from([0.1, 0.5, 1.0]))
def test_no_other_pairing_has_more_pairs_or_as_many_that_overlap_better(found, known, iou_min):
    matches = match_things(found, known, iou_min)
    count, overlap = best_of_all(found, known, iou_min)
    assert len(matches) == count
    assert sum(match.iou for match in matches) == pytest.approx(overlap)


@given(found=things, known=things)
def test_nothing_is_in_two_pairs_and_labels_never_meet(found, known):
    matches = match_things(found, known, 0.1)
    assert len({match.found for match in matches}) == len({match.known for match in matches}) == len(matches)
    assert all(found[match.found].label == known[match.known].label for match in matches)


def test_a_greedy_pairing_would_lose_one_here():
    found = [thing(box=(0.0, 0.0, 0.6, 1.0)), thing(box=(0.2, 0.0, 0.8, 1.0))]
    known = [thing(box=(0.15, 0.0, 0.75, 1.0)), thing(box=(0.35, 0.0, 0.95, 1.0))]
    assert {(match.found, match.known) for match in match_things(found, known, 0.5)} == {(0, 0), (1, 1)}


@given(one=boxes, other=boxes)
def test_overlap_is_symmetrical_and_of_a_box_with_itself_one(one, other):
    assert overlaps([one], [other])[0, 0] == pytest.approx(overlaps([other], [one])[0, 0])
    assert overlaps([one], [one])[0, 0] == 1.0
    assert overlaps([one], [other])[0, 0] == pytest.approx(iou(one, other))


def test_a_box_inside_a_region_is_covered_by_it():
    assert covered(BoundingBox(0.2, 0.2, 0.4, 0.4), [BoundingBox(0.0, 0.0, 1.0, 1.0)]) == 1.0
    assert covered(BoundingBox(0.2, 0.2, 0.4, 0.4), [BoundingBox(0.3, 0.2, 1.0, 1.0)]) == pytest.approx(0.5)
    assert covered(BoundingBox(0.2, 0.2, 0.2, 0.4), [BoundingBox(0.0, 0.0, 1.0, 1.0)]) == 0.0
