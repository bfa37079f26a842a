"""What a provider is, and the words that every provider speaks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from providers.images import Image

Feature = Literal["objects", "labels", "faces", "text", "moderation"]
FEATURES: tuple[Feature, ...] = ("objects", "labels", "faces", "text", "moderation")


@dataclass(frozen=True, slots=True)
class BoundingBox:
    """Corners as fractions of the upright picture's width and height, origin top left: 0 <= min <= max <= 1."""

    x_min: float
    y_min: float
    x_max: float
    y_max: float

    @classmethod
    def clamped(cls, x_min: float, y_min: float, x_max: float, y_max: float) -> "BoundingBox":
        """A box cut to the picture. Providers do answer with corners outside of it."""
        left, right = sorted((min(max(x_min, 0.0), 1.0), min(max(x_max, 0.0), 1.0)))
        top, bottom = sorted((min(max(y_min, 0.0), 1.0), min(max(y_max, 0.0), 1.0)))
        return cls(left, top, right, bottom)


@dataclass(frozen=True, slots=True)
class Detection:
    """One thing that a provider found.

    Attributes:
        feature: the question it answers.
        label: the canonical name (COCO's where one exists), else the provider's own in lower case.
        confidence: the provider's own, in [0, 1]. NOT comparable across providers: calibrate before deciding anything by it.
        box: where it is; None for `labels` and `moderation`.
        provider: who found it.
        provider_label: the provider's own name for it; several names of one thing are joined by ", ", best first.
        text: what was read, for `text`.
        attributes: more that the provider said, for `faces`: JSON types only.
    """

    feature: Feature
    label: str
    confidence: float
    box: BoundingBox | None
    provider: str
    provider_label: str
    text: str | None = None
    attributes: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Units of one SKU, as the provider's price sheet names it."""

    sku: str
    units: int


@dataclass(frozen=True, slots=True)
class Call:
    """One request to a provider, and what it will bill: known before it is made."""

    features: frozenset[Feature]
    usage: tuple[Usage, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider answered to one call.

    Attributes:
        detections: everything it found, unfiltered: a cached answer must serve any threshold.
        model: what answered, with its version: `DetectLabels 3.0`.
        provider_request_id: the provider's own id of the call: for its support, never a key.
        machine_us: microseconds that a machine of our own worked for this answer alone; None where nobody tells.
    """

    detections: tuple[Detection, ...]
    model: str
    provider_request_id: str | None = None
    machine_us: int | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """Whether a provider can be asked at all, and if not, why (told to operators)."""

    ready: bool
    detail: str = ""


@runtime_checkable
class Provider(Protocol):
    """Who detects. Shared by all threads of a process; made after fork, by its module's `build`."""

    name: str
    features: frozenset[Feature]

    @property
    def region(self) -> str:
        """Where it is called, as its price sheet names regions; "" where there is only one."""

    @property
    def model(self) -> str:
        """What answers now, with its version; part of the cache key, so a new version is a miss."""

    def calls(self, features: frozenset[Feature]) -> tuple[Call, ...]:
        """The requests that answer these features, each with what it will bill. `features` is a subset of `self.features`."""

    def refusal(self, image: Image, features: frozenset[Feature]) -> str | None:
        """Why this picture can't be made fit for this provider, or None. Asked before any money is reserved; cheap, no I/O."""

    def detect(self, image: Image, call: Call, timeout_s: float) -> Answer:
        """Make one call, once: no retry in here, since each attempt is metered.

        Raises:
            ProviderError: and nothing else, within `timeout_s` seconds in all.
        """

    def warm(self) -> None:
        """Start what takes long, so that the first request need not wait for it. Returns at once."""

    def health(self) -> Health:
        """Whether it could answer now, from what is known without asking it."""

    def close(self) -> None:
        """Give back connections and threads."""


class BadEnvironment(ValueError):
    """A provider's settings are wrong.

    Attributes:
        problems: each a sentence that names its variable; all at once, so that an operator mends them at once.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
