import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from local_model.boxes import CANDIDATES_MAX, Candidates, cells, decode, non_maximum_suppression, overlapping


def candidates(rows):
    boxes = np.array([[x, y, x + w, y + h] for x, y, w, h, _, _ in rows], np.float32).reshape(-1, 4)
    return Candidates(boxes, np.array([row[4] / 64 for row in rows], np.float32), np.array([row[5] for row in rows], np.int64))


def slow_suppression(found, iou_max):
    """Independent: the textbook's loop, in plain Python over whole numbers."""

    def overlap(a, b):
        width = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
        height = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
        union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
        return width * height / union if union else 0.0

    boxes, classes, scores = found.boxes.tolist(), found.classes.tolist(), found.scores.tolist()
    kept = []
    for i in sorted(range(len(scores)), key=lambda i: -scores[i]):
        if all(classes[i] != classes[j] or overlap(boxes[i], boxes[j]) <= iou_max for j in kept):
            kept.append(i)
    return kept


rows = st.lists(
    st.tuples(*(st.integers(0, 24) for _ in range(2)), *(st.integers(0, 24) for _ in range(2)), st.integers(1, 64), st.integers(0, 2)),
    max_size=60,
)


@given(rows, st.sampled_from([0.23, 0.51, 0.6137]))
def test_suppression_keeps_what_the_slow_textbook_loop_keeps(rows, iou_max):
    found = candidates(rows)
    assert non_maximum_suppression(found, iou_max).tolist() == slow_suppression(found, iou_max)


def test_a_chain_of_overlaps_is_resolved_from_the_best_down():
    """The third overlaps only the second; the second falls to the first; so the third stays."""
    found = candidates([(0, 0, 10, 10, 60, 0), (4, 0, 10, 10, 50, 0), (8, 0, 10, 10, 40, 0)])
    assert non_maximum_suppression(found, 0.3).tolist() == [0, 2]


def test_boxes_of_another_class_are_no_rivals():
    assert non_maximum_suppression(candidates([(0, 0, 9, 9, 60, 0), (0, 0, 9, 9, 50, 1)]), 0.6).tolist() == [0, 1]


def test_nothing_found_stays_nothing():
    assert non_maximum_suppression(candidates([]), 0.6).tolist() == []


def test_of_too_many_candidates_the_best_are_looked_at():
    found = candidates([(30 * n, 0, 10, 10, n % 50, 0) for n in range(CANDIDATES_MAX + 40)])
    kept = non_maximum_suppression(found, 0.6)
    assert len(kept) == CANDIDATES_MAX
    assert found.scores[kept].min() >= np.sort(found.scores)[-CANDIDATES_MAX]


def test_a_half_covered_box_overlaps_by_a_third_and_empty_boxes_by_nothing():
    boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [5, 5, 5, 5], [5, 5, 5, 5]], np.float32)
    assert overlapping(boxes, 0.33)[:2, :2].all()
    assert not overlapping(boxes, 0.34)[0, 1]
    assert not overlapping(boxes, 0.0)[2:].any()


def test_a_cell_that_is_sure_of_its_sides_is_decoded_to_its_box():
    grid = cells(416)
    assert grid.shape == (3549, 3)
    raw = torch.full((2, 3549, 124), -20.0)
    cell = 52 * 52 + 3 * 26 + 7  # stride 16, row 3, column 7: its centre is (120, 56)
    raw[1, cell, 16] = math.log(0.8 / 0.2)
    for side, steps in enumerate((1, 2, 3, 4)):
        raw[1, cell, 80 + side * 11 + steps] = 20.0
    nothing, dog = decode(raw, grid, 0.05)
    assert len(nothing.scores) == 0
    assert dog.classes.tolist() == [16]
    assert dog.scores.tolist() == [pytest.approx(0.8)]
    assert dog.boxes.tolist() == [pytest.approx([120 - 16, 56 - 32, 120 + 48, 56 + 64], abs=1e-3)]


def test_a_score_at_the_floor_is_not_above_it():
    raw = torch.full((1, 3549, 124), -20.0)
    raw[0, 0, 0], raw[0, 1, 0] = math.log(0.0499 / 0.9501), math.log(0.0501 / 0.9499)
    assert len(decode(raw, cells(416), 0.05)[0].scores) == 1


def test_of_a_picture_with_too_many_cells_above_the_floor_the_best_are_decoded_and_its_neighbours_keep_theirs():
    raw = torch.full((3, 3549, 124), -20.0)
    raw[0, :4, 7] = 1.0
    raw[1, : CANDIDATES_MAX + 50, 2] = torch.linspace(3, 4, CANDIDATES_MAX + 50)
    raw[2, 9, 5] = 2.0
    few, many, one = decode(raw, cells(416), 0.05)
    assert few.classes.tolist() == [7] * 4
    assert len(many.scores) == CANDIDATES_MAX
    assert many.scores.min() > torch.linspace(3, 4, CANDIDATES_MAX + 50).sigmoid()[49].item()
    assert (one.classes.tolist(), one.scores.tolist()) == ([5], [pytest.approx(torch.tensor(2.0).sigmoid().item())])
