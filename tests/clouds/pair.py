"""Both stand-ins together."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from tests.clouds import google_vision, rekognition

A_BUS = {
    "Labels": [
        {
            "Name": "Bus",
            "Confidence": 99.0,
            "Instances": [{"BoundingBox": {"Left": 0.2, "Top": 0.25, "Width": 0.7, "Height": 0.5}, "Confidence": 98.0}],
            "Parents": [{"Name": "Vehicle"}],
        }
    ],
    "LabelModelVersion": "3.0",
}
"""What Amazon sees on every picture."""


@contextmanager
def two_clouds() -> Iterator[tuple[rekognition.StandIn, google_vision.StandIn]]:
    """Amazon and Google, as if just started."""
    with closing(rekognition.StandIn()) as amazon, closing(google_vision.StandIn()) as google:
        amazon.answers["DetectLabels"] = A_BUS
        yield amazon, google
