"""What became of one picture: the dispatcher's answer, in our own words."""

from dataclasses import dataclass
from typing import Literal

from cost.money import FREE, Money
from cost.router import Considered
from gateway.wire.options import Options
from providers.contract import Detection, Feature, Usage
from providers.images import Image

CacheUse = Literal["miss", "hit", "joined", "off"]
KEPT = frozenset({"hit", "joined"})
"""Nobody was asked for it."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One provider call: how it ended, what it cost, how long it took."""

    provider: str
    features: tuple[Feature, ...]
    outcome: str
    cost: Money
    latency_ms: float


@dataclass(frozen=True, slots=True)
class Near:
    """Another picture, whose answer was given: how many of the 64 bits of their perceptual hashes differ, and the SHA-256 of its bytes."""

    distance: int
    digest: str


@dataclass(frozen=True, slots=True)
class AnsweredCall:
    """A call that the detections come from, and what it cost when it was made."""

    provider: str
    features: frozenset[Feature]
    model: str
    usage: tuple[Usage, ...]
    price: Money


@dataclass(frozen=True, slots=True)
class Expected:
    """What the policies in use expected of the route before anything was asked.

    Attributes:
        quality: expected reward of the answer, in [0, 1]; None while there are no records to say so.
        target: what that quality means: `truth`, or `agreement` with other providers.
        policy: who decides: `rules`, or the version of the learned policy of each feature.
    """

    quality: float | None
    target: str | None
    policy: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """Detections, who found them, and at what cost.

    Attributes:
        provider, model: whose answer it is, joined by ", " where the features were split; None for a dry run.
        detections: everything that was found; `kept` is what the client sees.
        cost: over all attempts.
        calls: that the detections come from, now or when the kept answer was made.
        near: the picture that the kept answer was made for, where it is another one.
        degraded: money or time was out, and the in-house model answered instead of what the policy would have chosen.
    """

    id: str
    image: Image
    options: Options
    detections: tuple[Detection, ...] = ()
    provider: str | None = None
    model: str | None = None
    cost: Money = FREE
    cache: CacheUse = "off"
    degraded: bool = False
    simulated: bool = False
    latency_ms: float = 0.0
    attempts: tuple[Attempt, ...] = ()
    considered: tuple[Considered, ...] = ()
    calls: tuple[AnsweredCall, ...] = ()
    near: Near | None = None
    expected: Expected | None = None

    @property
    def kept(self) -> list[Detection]:
        """What the client asked to see: of its features, sure enough, the surest first, no more than it wants."""
        options = self.options
        wanted = [d for d in self.detections if d.confidence >= options.min_confidence and d.feature in options.features]
        return sorted(wanted, key=lambda found: -found.confidence)[: options.max_results]
