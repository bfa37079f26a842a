"""What an experiment is: its arms, who is in it, and what an arm answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from cost.money import FREE, Money
from gateway.wire.options import Options, Strategy
from providers.contract import BoundingBox, Detection, Feature

Mode = Literal["split", "shadow", "paired"]
Unit = Literal["client", "subject", "image"]
State = Literal["draft", "running", "stopped"]

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,49}$"
"""Of an experiment, and of an arm: it stands in addresses, file names and the name of a budget."""

NAME_WORDS = "write 1 to 50 letters, digits, '.', '_' or '-', the first a letter or digit"

TRUTH = "truth"
TAG = "gateway.experiment"
"""The tag that an experiment's own attempts bear, and its budget binds. Clients can't use names that begin with `gateway.`."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to answer.

    Attributes:
        providers: who may be asked; empty: everybody.
        weight: its share of a split, beside the other arms' weights.
    """

    name: str
    providers: tuple[str, ...] = ()
    strategy: Strategy = "auto"
    weight: float = 1.0

    def options(self, options: Options) -> Options:
        """A request's options, answered this arm's way. The request's own limits stay."""
        return options.model_copy(update={"providers": self.providers or options.providers, "strategy": self.strategy})


@dataclass(frozen=True, slots=True)
class Stop:
    """When an experiment ends by itself. None: not for that reason.

    Attributes:
        pictures: so many have been compared.
        days: so many days after its start.
        decided: the verdict is no longer open.
        difference: the smallest difference of quality, as a fraction, that would matter to anybody.
    """

    pictures: int | None = None
    days: float | None = None
    decided: bool = False
    difference: float = 0.02


@dataclass(frozen=True, slots=True)
class Terms:
    """What an experiment compares. Fixed once it has started.

    Attributes:
        mode: `split`: each unit is answered by one arm. `shadow`: clients get what they would get anyway, which is the first arm, and
            the other arms are asked about the same pictures off the request's path. `paired`: every arm is asked about every picture.
        reference: whose answers count as right: a provider, `truth`, or None: the arms are compared with each other.
        sample_rate: share of the units that take part.
        budget: of everything that is asked off the request's path; a hard limit. None: only what costs nothing is asked.
        features: what is compared; requests that ask all of them take part.
        min_confidence: detections that are less sure are not compared.
        iou_min: overlap from which on two boxes are one thing.
    """

    name: str
    mode: Mode
    arms: tuple[Arm, ...]
    unit: Unit = "image"
    reference: str | None = None
    sample_rate: float = 1.0
    budget: Money | None = None
    features: tuple[Feature, ...] = ("objects",)
    stop: Stop = field(default_factory=Stop)
    min_confidence: float = 0.5
    iou_min: float = 0.5

    def arm(self, name: str) -> Arm:
        """The arm of that name; KeyError if there is none."""
        return {arm.name: arm for arm in self.arms}[name]


@dataclass(frozen=True, slots=True)
class ArmAnswer:
    """What one arm answered to one picture.

    Attributes:
        detections: everything it found, unfiltered.
        provider: who answered in the end; "" if nobody did.
        error: the problem's code where nobody answered, else "".
        latency_ms: None where it says nothing about the arm: the cache answered.
    """

    detections: tuple[Detection, ...] = ()
    provider: str = ""
    model: str = ""
    cost: Money = FREE
    latency_ms: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Observation:
    """One picture in an experiment, and what the arms that were asked answered.

    Attributes:
        digest: of the picture.
        unit: who it was assigned by, hashed; pictures of one unit are not independent of each other.
        width, height: pixels, upright.
        truth: what is on it, where somebody said so.
        people: the arms that a person called right; None where nobody has judged.
    """

    digest: str
    unit: str
    width: int
    height: int
    answers: Mapping[str, ArmAnswer]
    truth: tuple[Detection, ...] | None = None
    people: frozenset[str] | None = None


def pack(detections: Sequence[Detection]) -> list[list[Any]]:
    """Detections as the database keeps them, short; attributes of faces are left out."""
    return [
        [
            found.feature,
            found.label,
            round(found.confidence, 4),
            None
            if found.box is None
            else [round(edge, 5) for edge in (found.box.x_min, found.box.y_min, found.box.x_max, found.box.y_max)],
            found.provider,
            found.provider_label,
            *([found.text] if found.text is not None else []),
        ]
        for found in detections
    ]


def unpack(rows: Sequence[Sequence[Any]]) -> tuple[Detection, ...]:
    """What `pack` packed."""
    return tuple(
        Detection(feature, label, confidence, None if box is None else BoundingBox(*box), provider, said, text[0] if text else None)
        for feature, label, confidence, box, provider, said, *text in rows
    )
