"""Providers made of a function, for tests of what stands around providers."""

import io
import threading
import time
from collections.abc import Callable

import numpy as np
import PIL.Image

from gateway.breaker import Breaker
from gateway.dispatch import Dispatcher
from gateway.latency import LatencyTracker
from gateway.line import Line
from providers.contract import Answer, BoundingBox, Call, Detection, Feature, Health, Usage
from providers.images import Image, ImageLimits, read_image


class Toy:
    """Answers one dog, or does what `behave(nth call)` does."""

    def __init__(self, name: str, behave: Callable[[int], None] = lambda _: None, features: tuple[Feature, ...] = ("objects",)) -> None:
        self.name = name
        self.features = frozenset(features)
        self.behave = behave
        self.asked = 0
        self.timeouts_s: list[float] = []
        self.refuses: str | None = None
        self.is_ready = Health(ready=True)
        self._lock = threading.Lock()

    @property
    def model(self) -> str:
        return f"{self.name} 1"

    def calls(self, features: frozenset[Feature]) -> tuple[Call, ...]:
        return tuple(Call(frozenset({feature}), (Usage(feature, 1),)) for feature in sorted(features))

    def refusal(self, image: Image, features: frozenset[Feature]) -> str | None:
        return self.refuses

    def detect(self, image: Image, call: Call, timeout_s: float) -> Answer:
        with self._lock:
            self.asked += 1
            nth = self.asked
            self.timeouts_s.append(timeout_s)
        self.behave(nth)
        box = BoundingBox(0.1, 0.1, 0.5, 0.5)
        found = tuple(Detection(feature, "dog", 0.9, box, self.name, "Dog") for feature in sorted(call.features))
        return Answer(found, self.model)

    def health(self) -> Health:
        return self.is_ready

    def close(self) -> None:
        pass


def dispatcher_of(*toys: Toy, threads: int = 8, deadline_ms: int = 2_000) -> Dispatcher:
    latency, breaker = LatencyTracker(), Breaker()
    lines = [Line(toy, 64 if toy.name == "local" else threads, latency, breaker) for toy in toys]
    return Dispatcher(lines, default_deadline_ms=deadline_ms)


def sleeps(seconds: float) -> Callable[[int], None]:
    return lambda _: time.sleep(seconds)


def raises(error: Exception, times: int = 10**9) -> Callable[[int], None]:
    def behave(nth: int) -> None:
        if nth <= times:
            raise error

    return behave


def jpeg(width: int = 64, height: int = 48, shade: int = 128) -> bytes:
    out = io.BytesIO()
    PIL.Image.fromarray(np.full((height, width, 3), shade, np.uint8)).save(out, "JPEG")
    return out.getvalue()


def picture() -> Image:
    return read_image(jpeg(), ImageLimits())
