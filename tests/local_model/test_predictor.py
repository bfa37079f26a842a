import subprocess
import sys

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_model import builtin, detector
from local_model.boxes import Candidates, overlapping
from local_model.predictor import Predictor
from local_model.preprocess import BadPicture


def matches(box, others):
    """Whether one of the others is nearly the same box."""
    return overlapping(np.array([box, *others], np.float32), 0.7)[0, 1:].any()


def test_two_giraffes_are_found_where_they_stand(predictor, giraffes):
    [seen] = predictor.predict([giraffes])
    assert seen.labels[:2] == ("giraffe", "giraffe")
    assert seen.confidences[1] > 0.6
    assert seen.confidences[2] < 0.5
    assert seen.model == builtin.MODEL == f"nanodet-g-416 {builtin.WEIGHTS_SHA256[:8]}"


def test_boxes_are_fractions_inside_the_picture_best_first_and_never_empty(predictor, photographs):
    for seen in predictor.predict(photographs):
        assert (seen.boxes >= 0).all()
        assert (seen.boxes <= 1).all()
        assert (seen.boxes[:, 2:] > seen.boxes[:, :2]).all()
        assert (np.diff(seen.confidences) <= 0).all()
        assert (seen.confidences > 0.05).all()
        assert len(seen.boxes) == len(seen.confidences) == len(seen.labels) <= 300


def test_a_batch_answers_each_picture_as_alone(predictor, photographs):
    together = predictor.predict(photographs)
    for picture, seen in zip(photographs, together, strict=True):
        [alone] = predictor.predict([picture])
        assert alone.labels[:3] == seen.labels[:3]
        np.testing.assert_allclose(alone.boxes[:3], seen.boxes[:3], atol=1e-4)


@pytest.mark.parametrize("scale", [0.5, 2, 3])
def test_fractions_do_not_depend_on_the_pictures_size(predictor, giraffes, scale):
    height, width = giraffes.shape[:2]
    scaled = np.asarray(PIL.Image.fromarray(giraffes).resize((round(width * scale), round(height * scale))))
    [seen], [seen_scaled] = predictor.predict([giraffes]), predictor.predict([scaled])
    assert seen.labels[:2] == seen_scaled.labels[:2]
    assert matches(seen.boxes[0], seen_scaled.boxes[:1])


def test_a_wide_frame_around_the_picture_moves_the_boxes_as_it_should(predictor, giraffes):
    height, width = giraffes.shape[:2]
    framed = np.zeros((height, 2 * width, 3), np.uint8)
    framed[:, width:] = giraffes
    [seen], [moved] = predictor.predict([giraffes]), predictor.predict([framed])
    assert moved.labels[0] == "giraffe"
    assert matches(moved.boxes[0] * [2, 1, 2, 1] - np.array([1, 0, 1, 0]), seen.boxes[:2].astype(np.float64))


@given(st.integers(1, 2000), st.integers(1, 2000))
def test_a_box_in_the_square_comes_back_as_its_fraction_of_the_picture(predictor, height, width):
    square = predictor.prepare(np.zeros((height, width, 3), np.uint8))
    measure = np.array([square.width, square.height, square.width, square.height], np.float32)
    fractions = np.array([[0.25, 0.125, 0.75, 0.5], [-0.5, 0.5, 0.5, 1.5]], np.float32)
    beside = np.array([[1.5, 0.0, 2.0, 1.0]], np.float32)
    boxes = np.concatenate([fractions, beside]) * measure
    found = Candidates(boxes, np.array([0.9, 0.8, 0.7], np.float32), np.array([0, 1, 2]))
    seen = predictor.finish(found, square)
    assert seen.labels == ("person", "bicycle")
    np.testing.assert_allclose(seen.boxes, [[0.25, 0.125, 0.75, 0.5], [0, 0.5, 0.5, 1]], atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 3000, 3), (3000, 1, 3), (5, 7, 3)])
def test_odd_shapes_are_pictures_too(predictor, shape):
    [seen] = predictor.predict([np.full(shape, 255, np.uint8)])
    assert len(seen.boxes) == len(seen.labels)


def test_no_pictures_no_predictions(predictor):
    assert predictor.predict([]) == []


def test_what_is_no_picture_is_refused(predictor):
    with pytest.raises(BadPicture):
        predictor.predict([np.zeros((4, 4), np.uint8)])


def test_weights_that_are_not_the_committed_ones_are_refused(tmp_path, monkeypatch):
    damaged = bytearray(builtin.WEIGHTS.read_bytes())
    damaged[-1] ^= 1
    (tmp_path / "w.safetensors").write_bytes(damaged)
    monkeypatch.setattr(builtin, "WEIGHTS", tmp_path / "w.safetensors")
    with pytest.raises(detector.BadDetector, match="SHA-256"):
        Predictor.load(device="cpu")
    monkeypatch.setattr(builtin, "WEIGHTS", tmp_path / "gone.safetensors")
    with pytest.raises(detector.BadDetector, match="No such file"):
        Predictor.load(device="cpu")


@pytest.mark.parametrize("module", ["local_model", "local_model.builtin", "local_model.batching", "local_model.server", "providers.local"])
def test_importing_does_not_import_torch(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
