"""A fourth provider, as short as one can be. What it costs stands in the data file beside it."""

from collections.abc import Mapping

from providers.contract import Answer, BoundingBox, Call, Detection, Feature, Health, Usage
from providers.images import Image


class Toy:
    name = "toy"
    features: frozenset[Feature] = frozenset({"objects"})
    region = ""
    model = "toy 1"

    def calls(self, features: frozenset[Feature]) -> tuple[Call, ...]:
        return (Call(features, (Usage("look", 1),)),) if features else ()

    def refusal(self, image: Image, features: frozenset[Feature]) -> str | None:
        return None

    def detect(self, image: Image, call: Call, timeout_s: float) -> Answer:
        return Answer((Detection("objects", "cat", 0.9, BoundingBox(0.1, 0.1, 0.5, 0.5), self.name, "Katze"),), self.model)

    def warm(self) -> None:
        pass

    def health(self) -> Health:
        return Health(ready=True)

    def close(self) -> None:
        pass


def build(environ: Mapping[str, str]) -> Toy:
    return Toy()
