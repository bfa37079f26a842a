import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from local_model.evaluate import BadDataset, evaluate
from local_model.predictor import Prediction

PHOTOS = Path(__file__).parents[1] / "photos"
COCO128 = Path(__file__).parents[3] / "shared" / "coco128"
SHORT_BOX = (
    b'{"images": [{"id": 1, "file_name": "a"}], "annotations": [{"image_id": 1, "category_id": 1, "bbox": [1]}],'
    b'"categories": [{"id": 1, "name": "cat"}]}'
)


class Fixed:
    """Answers every picture alike."""

    model = "fixed 1"

    def __init__(self, boxes, confidences, labels):
        self.seen = Prediction(np.array(boxes, np.float32).reshape(-1, 4), np.array(confidences, np.float32), tuple(labels), self.model)

    def predict(self, pictures):
        return [self.seen for _ in pictures]


@pytest.fixture
def dataset(tmp_path):
    """Two pictures of 100 x 50 with one cat each, its right half."""
    for name in ("a.png", "b.png"):
        PIL.Image.new("RGB", (100, 50)).save(tmp_path / name)
    truth = {
        "images": [{"id": n, "file_name": f"{name}.png", "width": 100, "height": 50} for n, name in ((1, "a"), (2, "b"))],
        "annotations": [{"id": n, "image_id": n, "category_id": 17, "bbox": [50, 0, 50, 50], "area": 2500, "iscrowd": 0} for n in (1, 2)],
        "categories": [{"id": 17, "name": "cat"}, {"id": 18, "name": "dog"}],
    }
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    return tmp_path


def test_perfect_boxes_are_1_and_boxes_elsewhere_are_0(dataset):
    right, left = [0.5, 0, 1, 1], [0, 0, 0.5, 1]
    perfect = evaluate(dataset, dataset / "truth.json", predictor=Fixed([right], [0.9], ["cat"]), progress=False)
    assert perfect["ap"] == perfect["ap50"] == pytest.approx(1)
    assert perfect["images"] == 2
    assert perfect["model"] == "fixed 1"
    assert evaluate(dataset, dataset / "truth.json", predictor=Fixed([left], [0.9], ["cat"]), progress=False)["ap50"] == 0
    assert evaluate(dataset, dataset / "truth.json", predictor=Fixed([right], [0.9], ["dog"]), progress=False)["ap50"] == 0


def test_a_box_that_overlaps_by_six_tenths_counts_at_the_lower_thresholds_only(dataset):
    result = evaluate(dataset, dataset / "truth.json", predictor=Fixed([[0.7, 0, 1, 1]], [0.9], ["cat"]), progress=False)
    assert result["ap50"] == pytest.approx(1)
    assert result["ap"] == pytest.approx(0.3)  # 0.50, 0.55, 0.60 of ten thresholds


def test_a_model_that_sees_nothing_has_0(dataset):
    assert evaluate(dataset, dataset / "truth.json", predictor=Fixed([], [], []), progress=False)["ap"] == 0


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[]", "no list of images"),
        (b'{"images": {}}', "no list of images"),
        (b'{"images": [{"id": 1}]}', "each of images needs file_name, id"),
        (b'{"images": [{"id": 1, "file_name": "a.png"}], "annotations": []}', "no list of annotations"),
        (b'{"images": [{"id": 1, "file_name": 5}]}', "each of images needs file_name, id"),
        (
            SHORT_BOX,
            "not COCO JSON: .*bbox",
        ),
    ],
)
def test_annotations_that_are_not_coco_are_told_so(dataset, content, sentence):
    (dataset / "truth.json").write_bytes(content)
    with pytest.raises(BadDataset, match=sentence):
        evaluate(dataset, dataset / "truth.json")


def test_a_missing_file_a_missing_picture_and_a_damaged_one_are_told_by_name(dataset):
    with pytest.raises(BadDataset, match=r"gone\.json can't be read"):
        evaluate(dataset, dataset / "gone.json")
    (dataset / "b.png").write_bytes((dataset / "a.png").read_bytes()[:60])
    with pytest.raises(BadDataset, match=r"b\.png is not a whole picture"):
        evaluate(dataset, dataset / "truth.json", predictor=Fixed([], [], []), progress=False)
    (dataset / "b.png").unlink()
    with pytest.raises(BadDataset, match=r"1 of 2 listed pictures are not in .* b\.png"):
        evaluate(dataset, dataset / "truth.json")


def test_stdout_stays_empty_and_progress_goes_to_stderr(dataset):
    """What prints JSON on stdout must not find a table there before it."""
    code = (
        f"from pathlib import Path; from local_model.evaluate import evaluate; p = Path({str(PHOTOS)!r}); evaluate(p, p / 'instances.json')"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == ""
    assert "7/7" in ran.stderr


def test_no_thread_of_the_model_is_left_after_it():
    """One that waits within torch's or Python's own code when the interpreter ends aborts it: exit status 134, after a right answer."""
    before = set(threading.enumerate())
    evaluate(PHOTOS, PHOTOS / "instances.json", progress=False)
    assert set(threading.enumerate()) <= before


@pytest.mark.skipif(not COCO128.is_dir(), reason="../shared/coco128 is not beside this repository")
def test_average_precision_on_128_photographs_is_what_the_network_can(predictor):
    result = evaluate(COCO128 / "images", COCO128 / "instances.json", predictor=predictor, progress=False)
    assert result["images"] == 128
    assert result["ap"] >= 0.32
    assert result["ap50"] >= 0.45
