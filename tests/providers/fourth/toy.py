"""A fourth provider, as short as one can be: what it answers stands in `toy.json` beside it."""

import json
from collections.abc import Mapping
from pathlib import Path

from providers.contract import Answer, BoundingBox, Call, Detection, Feature, Health, Usage
from providers.images import Image


class Toy:
    name = "toy"
    features: frozenset[Feature] = frozenset({"objects"})

    def __init__(self, document: Mapping[str, object]) -> None:
        self.model = str(document["model"])
        self._seen = document["seen"]

    def calls(self, features: frozenset[Feature]) -> tuple[Call, ...]:
        return (Call(features, (Usage("look", 1),)),) if features else ()

    def refusal(self, image: Image, features: frozenset[Feature]) -> str | None:
        return None

    def detect(self, image: Image, call: Call, timeout_s: float) -> Answer:
        found = [
            Detection("objects", label, confidence, BoundingBox.clamped(*box), self.name, label) for label, confidence, box in self._seen
        ]
        return Answer(tuple(found), self.model)

    def warm(self) -> None:
        pass

    def health(self) -> Health:
        return Health(ready=True)

    def close(self) -> None:
        pass


def build(environ: Mapping[str, str]) -> Toy:
    return Toy(json.loads(Path(__file__).with_suffix(".json").read_text()))
