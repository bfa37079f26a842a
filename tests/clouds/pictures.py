"""What is on a picture, from a COCO annotation file: so that a stand-in's answers have something to do with the picture."""

import functools
import io
import json
import math
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps

from tests.clouds.behaviour import Behaviour

_SIDE = 16
_DIFFERENCE_MAX = 6.0
"""Mean difference of grey levels up to which two pictures are one: re-encoded or scaled, but not another."""


@dataclass(frozen=True)
class Thing:
    """One annotated or answered thing: COCO's name, (x_min, y_min, x_max, y_max) as fractions, confidence in [0, 1]."""

    name: str
    box: tuple[float, float, float, float]
    confidence: float = 1.0


class Pictures:
    """Annotated pictures, recognised by their pixels: the gateway strips metadata and re-encodes."""

    def __init__(self, annotations: Path, images: Path) -> None:
        coco = json.loads(annotations.read_text())
        self.names = [category["name"] for category in coco["categories"]]
        name_of = {category["id"]: category["name"] for category in coco["categories"]}
        things: dict[int, list[Thing]] = {}
        size_of = {image["id"]: (image["width"], image["height"]) for image in coco["images"]}
        for annotation in coco["annotations"]:
            if annotation.get("iscrowd"):
                continue
            width, height = size_of[annotation["image_id"]]
            x, y, w, h = annotation["bbox"]
            box = (x / width, y / height, (x + w) / width, (y + h) / height)
            things.setdefault(annotation["image_id"], []).append(Thing(name_of[annotation["category_id"]], box))
        known = [(things.get(image["id"], []), images / image["file_name"]) for image in coco["images"]]
        known = [(found, path) for found, path in known if path.exists()]
        self._things = [found for found, _ in known]
        self._prints = np.stack([fingerprint(path.read_bytes()) for _, path in known])
        self._remembered = functools.lru_cache(maxsize=4096)(self._look_up)

    def things_on(self, content: bytes) -> list[Thing] | None:
        """What is annotated on this picture; None where it is none of ours."""
        return self._remembered(content)

    def _look_up(self, content: bytes) -> list[Thing] | None:
        differences = np.abs(self._prints - fingerprint(content)).mean(axis=1)
        nearest = int(differences.argmin())
        return self._things[nearest] if differences[nearest] <= _DIFFERENCE_MAX else None


def fingerprint(content: bytes) -> np.ndarray:
    """(256,) grey levels of the upright picture at 16 x 16."""
    picture = PIL.Image.open(io.BytesIO(content))
    picture.draft("L", (8 * _SIDE, 8 * _SIDE))
    grey = PIL.ImageOps.exif_transpose(picture).convert("L").resize((_SIDE, _SIDE), PIL.Image.Resampling.BOX)
    return np.asarray(grey, dtype=np.float32).reshape(-1)


def seen(things: list[Thing], names: list[str], behaviour: Behaviour, who: str) -> list[Thing]:
    """What a provider sees of `things`: the same for the same picture, provider and behaviour."""
    chance = random.Random(f"{behaviour.seed} {who} {things!r}")
    found = [_blurred(thing, names, behaviour, chance) for thing in things if chance.random() < behaviour.hit_rate]
    wrong = [_imagined(names, chance) for _ in range(_poisson(behaviour.false_positives, chance))]
    return sorted(found + wrong, key=lambda thing: -thing.confidence)


def _blurred(thing: Thing, names: list[str], behaviour: Behaviour, chance: random.Random) -> Thing:
    x_min, y_min, x_max, y_max = thing.box
    width, height = (x_max - x_min) * behaviour.box_jitter, (y_max - y_min) * behaviour.box_jitter
    box = (chance.gauss(x_min, width), chance.gauss(y_min, height), chance.gauss(x_max, width), chance.gauss(y_max, height))
    noisy = chance.random() < behaviour.label_noise
    name = chance.choice(names) if noisy else thing.name
    return Thing(name, box, chance.betavariate(4, 4) if noisy else chance.betavariate(9, 2))


def _imagined(names: list[str], chance: random.Random) -> Thing:
    x, y = chance.random() * 0.8, chance.random() * 0.8
    return Thing(
        chance.choice(names), (x, y, x + 0.05 + 0.15 * chance.random(), y + 0.05 + 0.15 * chance.random()), chance.betavariate(3, 5)
    )


def _poisson(mean: float, chance: random.Random) -> int:
    """Source: D. Knuth, The Art of Computer Programming, volume 2, 3.4.1."""
    count, product = 0, chance.random()
    while product > math.exp(-mean):
        count, product = count + 1, product * chance.random()
    return count
