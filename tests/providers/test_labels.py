import csv
from importlib.resources import files

import pytest

from providers.labels import google_label, moderation_label, own_label, rekognition_label

NOBODY: frozenset[str] = frozenset()


def _rows() -> list[dict[str, str]]:
    with files("providers").joinpath("label_map.csv").open(encoding="utf-8") as table:
        return list(csv.DictReader(table))


def test_all_eighty_are_there_once():
    rows = _rows()
    for column in ("coco", "rekognition", "google_mid"):
        assert len({row[column] for row in rows}) == 80, column


def test_no_name_means_two_things():
    rekognition = [
        name for row in _rows() for name in (row["rekognition"], *row["rekognition_same"].split("|"), *row["rekognition_kinds"].split("|"))
    ]
    mids = [
        mid for row in _rows() for mid in (row["google_mid"], *(kind.rpartition(":")[2] for kind in row["google_kind_mids"].split("|")))
    ]
    for names in (rekognition, mids):
        told = [name for name in names if name]
        assert len(told) == len(set(told)), sorted(name for name in told if told.count(name) > 1)


@pytest.mark.parametrize("row", _rows(), ids=lambda row: row["coco"])
def test_each_is_found_by_both_clouds_words(row):
    assert rekognition_label(row["rekognition"], NOBODY, kinds=False) == row["coco"]
    assert google_label(row["google_mid"], kinds=False) == row["coco"]


def test_an_elephant_is_no_cow():
    """A widely copied table has the two swapped."""
    assert google_label("/m/0bwd_0j", kinds=False) == "elephant"
    assert google_label("/m/01xq0k1", kinds=False) == "cow"


def test_a_kind_is_the_thing_around_a_box_and_itself_as_a_label():
    assert rekognition_label("Woman", NOBODY, kinds=True) == "person"
    assert rekognition_label("Woman", NOBODY, kinds=False) is None
    assert google_label("/m/09ddx", kinds=True) == "bird"
    assert google_label("/m/09ddx", kinds=False) is None


def test_parts_and_scenes_are_not_things():
    for name in ("Wheel", "Car Wheel", "Face", "Vehicle", "Furniture", "Street"):
        assert rekognition_label(name, frozenset({"Car", "Person", "Vehicle"}), kinds=True) is None


def test_an_unknown_name_is_kept_in_lower_case():
    assert own_label("Picture frame", "/m/06z37_") == "picture frame"
    assert own_label("Home Decor") == "home decor"


def test_another_thing_of_the_same_name_is_told_apart():
    assert own_label("Orange", "/m/0jc_p") == "orange (/m/0jc_p)"
    assert google_label("/m/04rmv", kinds=True) == "mouse (animal)"
    assert rekognition_label("Mouse", frozenset({"Computer Hardware"}), kinds=True) == "mouse"
    assert rekognition_label("Mouse", frozenset({"Animal", "Rodent"}), kinds=True) == "mouse (animal)"


def test_both_clouds_moderate_in_one_language():
    assert moderation_label("Explicit Nudity") == moderation_label("Explicit") == moderation_label("adult") == "explicit"
    assert moderation_label("Violence") == moderation_label("violence") == "violence"
    assert moderation_label("Suggestive") == moderation_label("racy") == "suggestive"
    assert moderation_label("Drugs & Tobacco") == "drugs & tobacco"
