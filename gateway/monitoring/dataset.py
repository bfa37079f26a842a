"""What is wrong with a folder of pictures, before money is spent on it: broken files, duplicates, odd sizes, labels, and drift."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from gateway.monitoring.drift import PICTURE_PROPERTIES, Observation, Shift, number_shifts
from gateway.monitoring.properties import picture_properties, sample_of
from providers.images import KNOWN_FORMATS, Image, ImageError, ImageLimits, read_image

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})
_NEAR_BITS = 3
"""Of 64. Two photographs of the same thing differ in dozens; a picture that was saved again or made smaller in none to three."""

_SIDE_MIN = 80  # pixels; Rekognition takes no less: https://docs.aws.amazon.com/rekognition/latest/dg/limits.html
_ASPECT_MAX = 4.0
_FAR_FROM_USUAL = 4.0
"""In robust standard deviations of the logarithm of the pixels: one in sixteen thousand of a bell curve; and eight times at least."""

_DRIFT_LEVEL = 0.01 / len(PICTURE_PROPERTIES)
"""One folder in a hundred is told to have drifted that has not."""

_RARE_SHARE = 0.01


class BadFolder(ValueError):
    """Nothing there can be checked; says why."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A file that is a picture."""

    name: str
    digest: str
    width: int
    height: int
    likeness: int
    values: Mapping[str, float]


def files_of(folder: Path) -> list[Path]:
    """The pictures of a folder and of those within, by name.

    Raises:
        BadFolder: there are none.
    """
    if not folder.is_dir():
        raise BadFolder(f"{folder} is no folder")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES and path.is_file())
    if not files:
        raise BadFolder(f"{folder} has no pictures: no file ends in {', '.join(sorted(_SUFFIXES))}")
    return files


def read_folder(folder: Path, files: Iterable[Path]) -> tuple[list[Picture], dict[str, str]]:
    """What can be read of these files, and why the others can't, by name."""
    pictures, broken = [], {}
    limits = ImageLimits(formats=KNOWN_FORMATS)
    for path in files:
        name = str(path.relative_to(folder))
        try:
            content = path.read_bytes()
            image = read_image(content, limits)
            values = picture_properties(sample_of(image))
        except (ImageError, OSError) as error:
            broken[name] = str(error)
            continue
        pictures.append(Picture(name, hashlib.sha256(content).hexdigest(), image.width, image.height, _likeness(image), values))
    return pictures, broken


def check(pictures: Sequence[Picture], broken: Mapping[str, str], truth: Any = None, reference: Sequence[Picture] = ()) -> dict[str, Any]:
    """The report, as JSON types.

    Args:
        pictures: what `read_folder` gave.
        broken: the other thing that it gave.
        truth: a COCO document about them, or None.
        reference: pictures that these ought to be like, or none.

    Raises:
        BadFolder: the document is not COCO's.
    """
    same = _groups(pictures, lambda one: one.digest)
    report: dict[str, Any] = {
        "pictures": len(pictures),
        "broken": dict(broken),
        "duplicates": {"exact": same, "near": list(_near_duplicates(pictures))},
        "odd_sizes": dict(_odd_sizes(pictures)),
        "labels": None if truth is None else _labels(truth, pictures, broken),
        "drift": None if not reference else [_drift_row(shift) for shift in _drift(pictures, reference)],
    }
    labels, drift = report["labels"] or {}, report["drift"] or []
    report["problems"] = (
        len(broken)
        + sum(len(group) - 1 for group in same)
        + len(report["duplicates"]["near"])
        + len(report["odd_sizes"])
        + sum(len(labels.get(kind, ())) for kind in ("missing_files", "boxes_outside", "rare"))
        + sum(row["drifted"] for row in drift)
    )
    return report


def _likeness(image: Image) -> int:
    """64 bits that near copies share: whether brightness grows from each of 9 x 8 cells to the next.

    Source: difference hash, https://www.hackerfactor.com/blog/index.php?/archives/529-Kind-of-Like-That.html
    """
    small = np.asarray(PIL.Image.fromarray(image.pixels).convert("L").resize((9, 8), PIL.Image.Resampling.BOX), dtype=np.int16)
    return int.from_bytes(np.packbits(small[:, 1:] > small[:, :-1]).tobytes(), "big")


def _groups(pictures: Iterable[Picture], key: Callable[[Picture], str]) -> list[list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for one in pictures:
        groups[key(one)].append(one.name)
    return [names for names in groups.values() if len(names) > 1]


def _near_duplicates(pictures: Sequence[Picture]) -> Iterator[list[str]]:
    """Pairs that look alike and are not the same file. Of four quarters of the bits, one at least is equal where three bits differ."""
    quarters: dict[tuple[int, int], list[Picture]] = defaultdict(list)
    told = set()
    first_of = {one.digest: one for one in reversed(pictures)}
    for one in first_of.values():
        for place in range(4):
            quarters[place, one.likeness >> 16 * place & 0xFFFF].append(one)
    for alike in quarters.values():
        for a, b in combinations(sorted(alike, key=lambda one: one.name), 2):
            if (a.name, b.name) not in told and (a.likeness ^ b.likeness).bit_count() <= _NEAR_BITS and _is_detailed(a):
                told.add((a.name, b.name))
                yield [a.name, b.name]


def _is_detailed(picture: Picture) -> bool:
    """Empty pictures are all alike."""
    return 4 <= picture.likeness.bit_count() <= 60


def _odd_sizes(pictures: Sequence[Picture]) -> Iterator[tuple[str, str]]:
    sizes = np.array([one.values["size"] for one in pictures])
    median = float(np.median(sizes)) if len(sizes) else 0.0
    spread = 1.4826 * float(np.median(np.abs(sizes - median))) if len(sizes) else 0.0
    for one in pictures:
        ratio = max(one.width, one.height) / min(one.width, one.height)
        if min(one.width, one.height) < _SIDE_MIN:
            yield one.name, f"{one.width} x {one.height}: a side is shorter than {_SIDE_MIN} pixels"
        elif ratio > _ASPECT_MAX:
            yield one.name, f"{one.width} x {one.height}: {ratio:.1f} times as long as wide"
        elif abs(one.values["size"] - median) > max(_FAR_FROM_USUAL * spread, 3.0):
            yield one.name, f"{one.width} x {one.height}: far from the usual {2**median / 1e6:.2f} megapixels"


def _labels(truth: Any, pictures: Sequence[Picture], broken: Mapping[str, str]) -> dict[str, Any]:
    """How often each label stands there, and what does not fit."""
    try:
        names = {one["id"]: str(one["name"]) for one in truth["categories"]}
        images = {one["id"]: one for one in truth["images"]}
        boxes = [
            (images[one["image_id"]], names[one["category_id"]], [float(side) for side in one["bbox"]]) for one in truth["annotations"]
        ]
        files = {str(one["file_name"]) for one in images.values()}
    except (LookupError, TypeError, ValueError) as error:
        raise BadFolder(f"the annotations are not COCO's: {error!r}") from error
    there = {Path(one.name).name for one in pictures} | {Path(name).name for name in broken}
    counts = Counter(label for _, label, _ in boxes)
    with_boxes = {str(image["file_name"]) for image, _, _ in boxes}
    total = counts.total()
    return {
        "boxes": total,
        "counts": dict(counts.most_common()),
        "rare": [label for label, count in counts.items() if count < _RARE_SHARE * total / max(1, len(counts)) * 10 and count < 5],
        "never": sorted(set(names.values()) - counts.keys()),
        "without_boxes": sorted(files - with_boxes),
        "missing_files": sorted(name for name in files if Path(name).name not in there),
        "boxes_outside": [
            f"{image['file_name']}: {label}"
            for image, label, (x, y, width, height) in boxes
            if x < -1 or y < -1 or width <= 0 or height <= 0 or x + width > image["width"] + 1 or y + height > image["height"] + 1
        ],
    }


def _drift(pictures: Sequence[Picture], reference: Sequence[Picture]) -> Iterator[Shift]:
    before, now = ([Observation(one.digest, one.values, frozenset()) for one in seen] for seen in (reference, pictures))
    return number_shifts(PICTURE_PROPERTIES, before, now)


def _drift_row(shift: Shift) -> dict[str, Any]:
    row = {"property": shift.name, "distance": round(shift.distance, 3), "p_value": shift.p_value, "before": shift.before, "now": shift.now}
    return row | {"drifted": shift.p_value < _DRIFT_LEVEL}


def read_truth(path: Path) -> Any:
    """A COCO document.

    Raises:
        BadFolder: no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadFolder(f"{path}: {error}") from error
