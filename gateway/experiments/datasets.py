"""Pictures on disk, and what is on them: a folder or a list of files, and COCO annotations."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cost.told import told
from gateway.experiments.scoring import CROWD
from gateway.experiments.terms import TRUTH
from providers.contract import BoundingBox, Detection

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})


class BadDataset(ValueError):
    """The pictures or the annotations can't be used; the sentence says which and why."""


@dataclass(frozen=True, slots=True)
class Truths:
    """What is on pictures, by file name; `labels` are all the names that the annotators had."""

    things: Mapping[str, tuple[Detection, ...]] = field(default_factory=dict)
    labels: frozenset[str] = frozenset()


def read_files(place: Path) -> list[Path]:
    """The pictures of a folder and its folders, or those that a text file names, one a line, from its own folder.

    Raises:
        BadDataset: nothing there, or a listed file is missing.
    """
    if place.is_dir():
        files = sorted(path for path in place.rglob("*") if path.suffix.lower() in _SUFFIXES and path.is_file())
    else:
        try:
            lines = place.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise BadDataset(f"{place} is neither a folder of pictures nor a list of them: {error}.") from error
        files = [place.parent / line.strip() for line in lines if line.strip() and not line.startswith("#")]
        if missing := [path for path in files if not path.is_file()]:
            raise BadDataset(f"{len(missing)} of {len(files)} files that {place} lists are not there; the first is {missing[0]}.")
    if not files:
        raise BadDataset(f"There is no picture in {place}.")
    return files


def read_truths(annotations: Path) -> Truths:
    """COCO annotations: boxes as fractions of the picture, by its file name.

    Raises:
        BadDataset: not COCO JSON.
    """
    try:
        coco: dict[str, Any] = json.loads(annotations.read_bytes())
        names = {int(category["id"]): str(category["name"]) for category in coco["categories"]}
        images = {image["id"]: image for image in coco["images"]}
        things: dict[str, list[Detection]] = {Path(image["file_name"]).name: [] for image in coco["images"]}
        for one in coco["annotations"]:
            image, label = images[one["image_id"]], names[one["category_id"]]
            x, y, width, height = (float(edge) for edge in one["bbox"])
            box = BoundingBox.clamped(x / image["width"], y / image["height"], (x + width) / image["width"], (y + height) / image["height"])
            said = CROWD if one.get("iscrowd") else label
            things[Path(image["file_name"]).name].append(Detection("objects", label, 1.0, box, TRUTH, said))
    except OSError as error:
        raise BadDataset(f"The annotations {annotations} can't be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, ArithmeticError) as error:
        raise BadDataset(f"The annotations {annotations} are not COCO JSON: {told(error)}.") from error
    return Truths({name: tuple(found) for name, found in things.items()}, frozenset(names.values()))
