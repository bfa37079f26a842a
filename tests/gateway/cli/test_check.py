import io
import json
import shutil

import numpy as np
import PIL.Image
import pytest
from click.testing import CliRunner

from gateway.cli import main
from tests.conftest import PHOTOS
from tests.gateway.monitoring.streams import COCO128


@pytest.fixture
def folder(tmp_path):
    """Our photographs."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for path in PHOTOS.glob("*.jpg"):
        shutil.copy(path, folder)
    return folder


def checked(*arguments) -> dict:
    result = CliRunner().invoke(main, ["check", *map(str, arguments), "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_folder_of_good_pictures_has_no_problem(folder):
    report = checked(folder)
    assert (report["pictures"], report["problems"]) == (7, 0)
    assert "0 problems" in CliRunner().invoke(main, ["check", str(folder)]).output


def test_broken_files_are_named_with_the_reason(folder):
    whole = (PHOTOS / "000000000471.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "text.png").write_text("not a picture")
    report = checked(folder)
    assert report["broken"].keys() == {"cut.jpg", "text.png"}
    assert all(report["broken"].values())


def test_copies_are_found_exact_ones_and_those_saved_again_smaller(folder):
    original = PIL.Image.open(PHOTOS / "000000000471.jpg")
    shutil.copy(PHOTOS / "000000000436.jpg", folder / "copy.jpg")
    original.resize((original.width // 2, original.height // 2)).save(folder / "smaller.jpg", quality=70)
    original.save(folder / "again.webp", quality=60)
    report = checked(folder)
    assert report["duplicates"]["exact"] == [["000000000436.jpg", "copy.jpg"]]
    near = {frozenset(pair) for pair in report["duplicates"]["near"]}
    assert {frozenset({"000000000471.jpg", "smaller.jpg"}), frozenset({"000000000471.jpg", "again.webp"})} <= near
    assert all(pair <= {"000000000471.jpg", "smaller.jpg", "again.webp"} for pair in near), "nothing else looks alike"


def test_odd_sizes_are_named(folder):
    chance = np.random.default_rng(1)
    for name, size in {"tiny.png": (40, 300), "long.png": (900, 100), "huge.png": (4000, 3000)}.items():
        noise = chance.integers(0, 255, (9, 9, 3), np.uint8)
        PIL.Image.fromarray(noise).resize(size).save(folder / name)
    report = checked(folder)
    assert report["broken"] == {}
    assert report["odd_sizes"].keys() == {"tiny.png", "long.png", "huge.png"}


def test_labels_are_counted_and_what_does_not_fit_is_named(folder, tmp_path):
    truth = json.loads((PHOTOS / "instances.json").read_text())
    truth["images"].append(truth["images"][0] | {"id": 999_999_999, "file_name": "gone.jpg"})
    first = truth["annotations"][0]
    truth["annotations"].append(first | {"id": 999_999_999, "bbox": [0, 0, 100_000, 10]})
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    labels = checked(folder, "--annotations", tmp_path / "truth.json")["labels"]
    assert labels["missing_files"] == ["gone.jpg"]
    assert "gone.jpg" in labels["without_boxes"]
    assert len(labels["boxes_outside"]) == 1
    assert sum(labels["counts"].values()) == labels["boxes"] == len(truth["annotations"])


@pytest.mark.skipif(not COCO128.is_dir(), reason="needs ../shared/coco128: seven photographs are too few for a distribution")
def test_drift_against_a_reference_is_told(tmp_path):
    photographs = sorted((COCO128 / "images").glob("*.jpg"))
    halves = {"reference": photographs[::2], "like": photographs[1::2], "night": photographs[1::2]}
    for name, paths in halves.items():
        (tmp_path / name).mkdir()
        for path in paths:
            picture = PIL.Image.open(path).convert("RGB")
            picture.thumbnail((160, 160))
            (picture.point(lambda value: value // 5) if name == "night" else picture).save(tmp_path / name / path.name)
    like = checked(tmp_path / "like", "--reference", tmp_path / "reference")
    assert not [row for row in like["drift"] if row["drifted"]]
    night = {row["property"]: row for row in checked(tmp_path / "night", "--reference", tmp_path / "reference")["drift"]}
    assert night["brightness"]["drifted"]
    assert night["brightness"]["now"] < night["brightness"]["before"]
    assert not night["aspect"]["drifted"]


@pytest.mark.parametrize(("make", "says"), [(False, "is no folder"), (True, "has no pictures")])
def test_what_can_not_be_checked_is_said(tmp_path, make, says):
    if make:
        (tmp_path / "x").mkdir()
    result = CliRunner().invoke(main, ["check", str(tmp_path / "x")])
    assert result.exit_code == 1
    assert says in result.output


def test_strict_fails_where_there_is_a_problem(folder):
    assert CliRunner().invoke(main, ["check", str(folder), "--strict"]).exit_code == 0
    (folder / "broken.jpg").write_bytes(io.BytesIO(b"x").read())
    assert CliRunner().invoke(main, ["check", str(folder), "--strict"]).exit_code == 1
