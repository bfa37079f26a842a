"""Things in the clouds' own words: what the stand-ins answer about annotated pictures."""

import csv
import functools
from importlib.resources import files
from typing import Any

from tests.clouds.pictures import Thing

# Rekognition answers a label's ancestors as labels of their own, and boxes a person under each of these names.
_PERSON = (("Person", ()), ("Adult", ("Person",)), ("Male", ("Person",)), ("Man", ("Adult", "Male", "Person")))
_VEHICLES = frozenset({"bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat"})
_ACTIVITIES = frozenset({"Skiing", "Snowboarding"})
"""Labels without a box (see the note beside them in the label map's evidence)."""


@functools.cache
def _rows() -> dict[str, dict[str, str]]:
    with files("providers").joinpath("label_map.csv").open(encoding="utf-8") as table:
        return {row["coco"]: row for row in csv.DictReader(table)}


def rekognition_labels(things: list[Thing]) -> list[dict[str, Any]]:
    """`Labels` of a DetectLabels answer, surest first."""
    labels: dict[str, dict[str, Any]] = {}
    for thing in things:
        own = _rows()[thing.name]["rekognition"]
        parents = ("Transportation", "Vehicle") if thing.name in _VEHICLES else ()
        names = _PERSON if thing.name == "person" else ((own, parents),)
        for name, ancestors in names:
            label = labels.setdefault(name, _label(name, ancestors, thing.confidence))
            if name not in _ACTIVITIES:
                label["Instances"].append(_instance(thing))
            label["Confidence"] = max(label["Confidence"], thing.confidence * 100)
        for ancestor in parents:
            labels.setdefault(ancestor, _label(ancestor, (), thing.confidence))
    return sorted(labels.values(), key=lambda label: -label["Confidence"])


def _label(name: str, ancestors: tuple[str, ...], confidence: float) -> dict[str, Any]:
    parents = [{"Name": ancestor} for ancestor in ancestors]
    return {"Name": name, "Confidence": confidence * 100, "Instances": [], "Parents": parents, "Aliases": [], "Categories": []}


def _instance(thing: Thing) -> dict[str, Any]:
    x_min, y_min, x_max, y_max = thing.box
    box = {"Left": x_min, "Top": y_min, "Width": x_max - x_min, "Height": y_max - y_min}
    return {"BoundingBox": box, "Confidence": thing.confidence * 100}


def google_objects(things: list[Thing]) -> list[dict[str, Any]]:
    """`localizedObjectAnnotations`, as JSON; what is 0 is left out, as proto3 does."""
    found = []
    for thing in things:
        row = _rows()[thing.name]
        x_min, y_min, x_max, y_max = (min(max(edge, 0.0), 1.0) for edge in thing.box)
        corners = [(x_min, y_min), (x_max, y_min), (x_max, y_max), (x_min, y_max)]
        vertices = [{axis: value for axis, value in (("x", x), ("y", y)) if value} for x, y in corners]
        found.append(
            {"mid": row["google_mid"], "name": row["google"], "score": thing.confidence, "boundingPoly": {"normalizedVertices": vertices}}
        )
    return found


def google_labels(things: list[Thing]) -> list[dict[str, Any]]:
    """`labelAnnotations`: each name once."""
    best: dict[str, Thing] = {}
    for thing in sorted(things, key=lambda thing: -thing.confidence):
        best.setdefault(thing.name, thing)
    rows = ((_rows()[name], thing) for name, thing in best.items())
    return [
        {"mid": row["google_mid"], "description": row["google"], "score": thing.confidence, "topicality": thing.confidence}
        for row, thing in rows
    ]
