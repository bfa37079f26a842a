"""Answers of the past that are watched for drift: since yesterday, Google has another word for a person."""

import json
import random
from pathlib import Path

import sqlalchemy as sa

from cost.database import write_transaction
from gateway.database import prepare_database
from gateway.monitoring.drift import REFERENCE, Observation
from gateway.monitoring.properties import observation, picture_properties, sample_of
from gateway.monitoring.quality import write_seen
from gateway.monitoring.schema import observations
from gateway.pictures import KeptPictures, small_jpeg
from providers.contract import BoundingBox, Detection
from providers.images import Image, ImageLimits, read_image
from tests.demo.plan import SEED

_PICTURES, _CHANGED = REFERENCE + 300, 150
_HIT_RATE = 0.85
_SHOWN_SIDE = 320


def write_watched(database_url: str, annotations: Path, kept_days: int) -> None:
    """Write what two providers have answered to these pictures, again and again; the pictures can be looked at."""
    engine, pictures = prepare_database(database_url), _annotated(annotations)
    measured = [(image.digest, picture_properties(sample_of(image)), names) for image, names in pictures]
    KeptPictures(engine, kept_days).keep({image.digest: small_jpeg(image, _SHOWN_SIDE) for image, _ in pictures})
    rows = []
    for provider in ("rekognition", "google_vision"):
        chance = random.Random(f"{SEED} {provider}")
        for number in range(_PICTURES):
            digest, properties, names = chance.choice(measured)
            changed = provider == "google_vision" and number >= _PICTURES - _CHANGED
            seen = _answered(chance, digest, properties, ["pedestrian" if changed and name == "person" else name for name in names])
            rows.append({"provider": provider, "feature": "objects", "digest": seen.digest, "seen": write_seen(seen)})
    with write_transaction(engine) as connection:
        connection.execute(sa.insert(observations), rows)
    engine.dispose()


def _annotated(annotations: Path) -> list[tuple[Image, list[str]]]:
    """Each picture, and the names of what is on it."""
    coco = json.loads(annotations.read_text())
    name_of = {category["id"]: category["name"] for category in coco["categories"]}
    names: dict[int, list[str]] = {}
    for one in coco["annotations"]:
        names.setdefault(one["image_id"], []).append(name_of[one["category_id"]])
    return [
        (read_image((annotations.parent / picture["file_name"]).read_bytes(), ImageLimits()), names.get(picture["id"], []))
        for picture in coco["images"]
    ]


def _answered(chance: random.Random, digest: str, properties: dict[str, float], names: list[str]) -> Observation:
    # No two photographs of a camera are as alike as two copies of one: each is a little different.
    values = {name: value * (1 + chance.gauss(0, 0.02)) for name, value in properties.items()}
    found = [
        Detection("objects", name, chance.betavariate(6, 2), BoundingBox(0, 0, 1, 1), "simulated", name)
        for name in names
        if chance.random() < _HIT_RATE
    ]
    return observation(digest, values, "objects", found)
