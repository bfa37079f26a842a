"""Observations of recorded photographs, of providers whose answers are known."""

import json
import random
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from gateway.monitoring.drift import Observation
from gateway.monitoring.properties import observation, picture_properties, sample_of
from providers.contract import BoundingBox, Detection
from providers.images import Image, ImageLimits, read_image
from tests.conftest import PHOTOS
from tests.processes import ROOT

COCO128 = ROOT.parent / "shared" / "coco128"


def photographs() -> list[Path]:
    """`../shared/coco128` where it is there, else our own seven."""
    return sorted((COCO128 / "images").glob("*.jpg")) or sorted(PHOTOS.glob("*.jpg"))


def labels_of_photographs() -> dict[str, list[str]]:
    """By a photograph's stem, the labels of its true boxes."""
    path = COCO128 / "instances.json"
    truth = json.loads((path if path.is_file() else PHOTOS / "instances.json").read_text())
    names = {one["id"]: one["name"] for one in truth["categories"]}
    files = {one["id"]: Path(one["file_name"]).stem for one in truth["images"]}
    found: dict[str, list[str]] = {}
    for one in truth["annotations"]:
        found.setdefault(files[one["image_id"]], []).append(names[one["category_id"]])
    return found


def darkened(image: Image) -> SimpleNamespace:
    """The same street at night: a fifth of the light, bluish, and the noise of a sensor that is turned up."""
    noise = np.random.default_rng(int(image.digest[:8], 16)).normal(0, 6, image.pixels.shape)
    night = image.pixels * np.array([0.15, 0.17, 0.25]) + noise
    return SimpleNamespace(pixels=np.clip(night, 0, 255).astype(np.uint8), width=image.width, height=image.height)


@cache
def measured(at_night: bool = False) -> tuple[tuple[str, dict[str, float], tuple[str, ...]], ...]:
    """Of every photograph: its digest, its properties and its labels."""
    labels = labels_of_photographs()
    rows = []
    for path in photographs():
        image = read_image(path.read_bytes(), ImageLimits())
        shown = darkened(image) if at_night else image
        rows.append((image.digest, picture_properties(sample_of(shown)), tuple(labels.get(path.stem, ()))))
    return tuple(rows)


def stream(
    seed: int, *, at_night: bool = False, renamed: Callable[[str], str] = lambda label: label, confidence: float = 1.0
) -> Iterator[Observation]:
    """Photographs in random order, for ever, as a provider answers that finds four of five true boxes."""
    chance = random.Random(seed)
    rows = measured(at_night)
    while True:
        digest, properties, labels = chance.choice(rows)
        # No two photographs of traffic are as alike as two copies of one: each is a little different.
        values = {name: value * (1 + chance.gauss(0, 0.02)) for name, value in properties.items()}
        found = [
            Detection("objects", renamed(label), confidence * chance.betavariate(6, 2), BoundingBox(0, 0, 1, 1), "toy", label)
            for label in labels
            if chance.random() < 0.8
        ]
        yield observation(digest, values, "objects", found)
