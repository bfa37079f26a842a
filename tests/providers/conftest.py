import io
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from providers import registry
from providers.contract import Answer, Feature, Provider
from providers.errors import ProviderError
from providers.images import KNOWN_FORMATS, Image, ImageLimits, read_image
from tests.clouds import google_vision, rekognition
from tests.clouds.behaviour import Behaviour

ANSWERS = Path(__file__).parent / "answers"
LIMITS = ImageLimits(side_max=100_000, formats=KNOWN_FORMATS)


def recorded(name: str) -> Any:
    """A recorded answer; `answers/README.md` says whose."""
    return json.loads((ANSWERS / f"{name}.json").read_text())["response"]


def picture(width: int = 320, height: int = 240, image_format: str = "JPEG", reference: str | None = None, **save: Any) -> Image:
    """A picture of nothing in particular."""
    rows, columns = np.mgrid[0:height, 0:width]
    pixels = np.stack([columns * 255 // width, rows * 255 // height, (rows + columns) % 256], axis=-1).astype(np.uint8)
    out = io.BytesIO()
    PIL.Image.fromarray(pixels).save(out, image_format, **save)
    return read_image(out.getvalue(), LIMITS, reference)


def noise(width: int, height: int) -> Image:
    """A PNG that nothing compresses."""
    pixels = np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)
    out = io.BytesIO()
    PIL.Image.fromarray(pixels).save(out, "PNG", compress_level=0)
    return read_image(out.getvalue(), LIMITS)


def ask(provider: Provider, image: Image, *features: Feature, timeout_s: float = 20.0) -> Answer:
    """One call's answer. The first one imports an SDK, which takes seconds on a busy machine."""
    (call,) = provider.calls(frozenset(features))
    return provider.detect(image, call, timeout_s)


def outcomes_at_once(provider: Provider, timeout_s: float) -> set[str]:
    """What becomes of sixty calls at the same moment: names of errors, or `answered`."""
    together = threading.Barrier(60)

    def outcome(_: int) -> str:
        together.wait(30)
        try:
            ask(provider, picture(), "objects", timeout_s=timeout_s)
        except ProviderError as error:
            return type(error).__name__
        return "answered"

    with ThreadPoolExecutor(60) as threads:
        return set(threads.map(outcome, range(60)))


@pytest.fixture(scope="session")
def _rekognition() -> Iterator[tuple[rekognition.StandIn, Provider]]:
    cloud = rekognition.StandIn()
    provider = registry.build("rekognition", cloud.environ)
    yield cloud, provider
    provider.close()
    cloud.close()


@pytest.fixture(scope="session")
def _google_vision() -> Iterator[tuple[google_vision.StandIn, Provider]]:
    cloud = google_vision.StandIn()
    provider = registry.build("google_vision", cloud.environ)
    yield cloud, provider
    provider.close()
    cloud.close()


@pytest.fixture
def amazon(_rekognition: tuple[rekognition.StandIn, Provider]) -> rekognition.StandIn:
    """A stand-in as if just started; `aws` is the provider that asks it."""
    cloud, _ = _rekognition
    cloud.conduct.now = Behaviour()
    cloud.bill.clear()
    cloud.received.clear()
    cloud.answers |= rekognition.NOTHING
    cloud.read_object = lambda *_: None
    return cloud


@pytest.fixture
def aws(_rekognition: tuple[rekognition.StandIn, Provider], amazon: rekognition.StandIn) -> Provider:
    return _rekognition[1]


@pytest.fixture
def google(_google_vision: tuple[google_vision.StandIn, Provider]) -> google_vision.StandIn:
    """A stand-in as if just started; `vision` is the provider that asks it."""
    cloud, _ = _google_vision
    cloud.conduct.now = Behaviour()
    cloud.bill.clear()
    cloud.received.clear()
    cloud.answer = google_vision.One()
    cloud.read_object = lambda _: None
    return cloud


@pytest.fixture
def vision(_google_vision: tuple[google_vision.StandIn, Provider], google: google_vision.StandIn) -> Provider:
    return _google_vision[1]
