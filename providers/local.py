"""The in-house model: in this process, or in a model server that speaks the Open Inference Protocol.

Settings: `GATEWAY_LOCAL_MODEL_URL` (unset: in this process; `unix:PATH`, `http://…`, `https://…`) and `GATEWAY_LOCAL_MODEL_USD_PER_HOUR`.
It answers `objects` only: COCO's 80 things. `labels` of a cloud name thousands of things and scenes, and silence about those would lie.
"""

import threading
import time
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from local_model import builtin
from local_model.batching import Expired, Overloaded
from local_model.models import Loading, LoadingFailed, Models
from providers.contract import Answer, BadEnvironment, BoundingBox, Call, Detection, Feature, Health, Usage
from providers.errors import ImageRefused, ProviderError, ProviderFailed, ProviderMisconfigured, ProviderOverloaded, ProviderTimeout
from providers.images import Image, ImageError, Pixels
from providers.open_inference import OpenInference

URL = "GATEWAY_LOCAL_MODEL_URL"
USD_PER_HOUR = "GATEWAY_LOCAL_MODEL_USD_PER_HOUR"


class Seen(Protocol):
    """What a model answers about one picture, best first: (K, 4) fractions, (K,) in [0, 1], K names, who it was, and its time for it."""

    @property
    def boxes(self) -> NDArray[np.float32]: ...  # noqa: D102
    @property
    def confidences(self) -> NDArray[np.float32]: ...  # noqa: D102
    @property
    def labels(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def model(self) -> str: ...  # noqa: D102
    @property
    def machine_us(self) -> int | None: ...  # noqa: D102


class Model(Protocol):
    """Where pixels go: `InProcess` or `open_inference.OpenInference`."""

    @property
    def model(self) -> str: ...  # noqa: D102
    def warm(self) -> None: ...  # noqa: D102
    def predict(self, pixels: Pixels, deadline: float) -> Seen: ...  # noqa: D102
    def batch_fill(self) -> float | None: ...  # noqa: D102
    def health(self) -> Health: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102


class Local:
    """The provider `local`, or another model of our own beside it, under a name of its own.

    Attributes:
        usd_per_hour: what the machine costs; 0 when nothing was told.
    """

    features: frozenset[Feature] = frozenset({"objects"})
    region = ""

    def __init__(self, model: Model, usd_per_hour: Decimal = Decimal(0), name: str = "local") -> None:
        self.name = name
        self.usd_per_hour = usd_per_hour
        self._model = model

    @property
    def model(self) -> str:
        """`nanodet-g-416 …`: the detector's name and the first digits of its weights' SHA-256."""
        return self._model.model

    def warm(self) -> None:
        """Start loading, so that the first request need not wait for it. Returns at once."""
        self._model.warm()

    def calls(self, features: frozenset[Feature]) -> tuple[Call, ...]:
        """One call, one picture."""
        return (Call(features, (Usage("picture", 1),)),)

    def refusal(self, image: Image, features: frozenset[Feature]) -> str | None:  # noqa: ARG002 -- the contract's
        """None: every picture that can be decoded can be looked at."""
        return None

    def detect(self, image: Image, call: Call, timeout_s: float) -> Answer:  # noqa: ARG002 -- there is one call only
        """Boxes with a confidence above 0.05, best first, as `providers.contract` says."""
        deadline = time.monotonic() + timeout_s
        try:
            return parse(self._model.predict(image.pixels, deadline), self.name)
        except ImageError as error:
            raise ImageRefused(str(error)) from error
        except ProviderError:
            raise
        except Exception as error:
            raise ProviderFailed(f"The in-house model failed: {error}") from error

    def batch_fill(self) -> float | None:
        """Of the model's batches of the last ten seconds: pictures over places, in [0, 1]; None where nobody says so."""
        return self._model.batch_fill()

    def health(self) -> Health:
        """Whether it could answer now."""
        return self._model.health()

    def close(self) -> None:
        """Stop the model's threads or give back the connections."""
        self._model.close()


def parse(seen: Seen, provider: str = "local") -> Answer:
    """What the model answered, in the gateway's words."""
    detections = tuple(
        Detection("objects", label, min(max(confidence, 0.0), 1.0), BoundingBox.clamped(*box), provider, label)
        for box, confidence, label in zip(seen.boxes.tolist(), seen.confidences.tolist(), seen.labels, strict=True)
    )
    return Answer(detections, seen.model, machine_us=seen.machine_us)


class InProcess:
    """The model in this process. torch is imported, in a thread of its own, when it is first needed."""

    model = builtin.MODEL

    def __init__(self, processes: int = 1) -> None:
        """Share the cores with so many processes that each have a model."""
        self._processes = processes
        self._lock = threading.Lock()
        self._models: Models | None = None

    def warm(self) -> None:
        """Start loading, once."""
        self._warmed()

    def predict(self, pixels: Pixels, deadline: float) -> Seen:
        """Join the next batch."""
        models = self._warmed()
        models.wait_until_loaded(max(deadline - time.monotonic(), 0))
        try:
            seen: Seen = models.find().batcher.predict(pixels, deadline)
        except LoadingFailed as error:
            raise ProviderMisconfigured(str(error)) from error
        except (Loading, Overloaded) as error:
            raise ProviderOverloaded(str(error)) from error
        except Expired as error:
            raise ProviderTimeout(str(error)) from error
        return seen

    def batch_fill(self) -> float | None:
        """See `Local.batch_fill`."""
        try:
            return self._models.find().batcher.counts.batch_fill if self._models else None
        except Loading:
            return None

    def health(self) -> Health:
        """Ready, once it is loaded."""
        try:
            self._warmed().all()
        except Loading as error:
            return Health(ready=False, detail=str(error))
        return Health(ready=True, detail="in this process")

    def close(self) -> None:
        """Answer what waits, and stop."""
        with self._lock:
            models, self._models = self._models, None
        if models is not None:
            models.wait_until_loaded()
            models.close()

    def _warmed(self) -> Models:
        with self._lock:
            if self._models is None:
                self._models = Models([self._load])
            return self._models

    def _load(self) -> Any:
        from local_model.predictor import Predictor  # noqa: PLC0415 -- torch is imported here, and in no process that does not need it

        return Predictor.load(processes=self._processes)


def build(environ: Mapping[str, str]) -> Local:
    """The provider as the environment describes it. Nothing is loaded and nobody is asked yet.

    Raises:
        BadEnvironment: each variable that is wrong.
    """
    return build_local(environ, URL, "local")


def build_local(environ: Mapping[str, str], url_setting: str, name: str) -> Local:
    """A model of our own under a name, at the address that a setting says, or in this process where it says none.

    Raises:
        BadEnvironment: each variable that is wrong.
    """
    problems = []
    usd_per_hour = Decimal(0)
    try:
        usd_per_hour = _usd(environ.get(USD_PER_HOUR, "0"))
    except ValueError as error:
        problems.append(f"{USD_PER_HOUR}: {error}")
    model: Model | None = None
    try:
        url = environ.get(url_setting, "").strip()
        model = OpenInference(url, default_model=builtin.NAME) if url else InProcess(_processes(environ))
    except ValueError as error:
        problems.append(f"{url_setting}: {error}")
    if problems or model is None:
        raise BadEnvironment(*problems)
    return Local(model, usd_per_hour, name)


def _processes(environ: Mapping[str, str]) -> int:
    """How many gateways run beside this one; `gateway.settings` tells what is wrong with the number."""
    workers = environ.get("GATEWAY_WORKERS", "")
    return int(workers) if workers.isdecimal() else 1


def _usd(text: str) -> Decimal:
    try:
        amount = Decimal(text.strip())
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or amount < 0:
        raise ValueError(f"{text!r} is not an amount of dollars such as 0.526.")
    return amount
