"""A report as it is sent."""

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from gateway.wire.answer import Usd
from providers.contract import Feature


class _Schema(BaseModel):
    model_config = ConfigDict(extra="forbid")


class IntervalOut(_Schema):
    """An estimate, and where the truth lies; left out where nothing is known."""

    value: float | None = None
    low: float | None = None
    high: float | None = None


class DifferenceOut(IntervalOut):
    """The arm less the baseline."""

    always: Annotated[IntervalOut, Field(description="Valid however often somebody looks.")]
    p_value: Annotated[float, Field(description="Always valid, too.")]
    different: bool


class MetricOut(_Schema):
    """What a number means."""

    name: str
    title: str
    unit: str
    better: Literal["higher", "lower"]


class LabelOut(_Schema):
    """One label's detections."""

    right: int
    wrong: int
    missed: int


class ArmReportOut(_Schema):
    """What one arm did."""

    pictures: int
    cost_usd: Annotated[Usd, Field(description="Exact, of all its pictures.")]
    errors: dict[str, int]
    metrics: dict[str, IntervalOut]
    latency_ms: Annotated[dict[str, IntervalOut], Field(description="p50 and p95.")]
    labels: dict[str, LabelOut]
    average_precision: Annotated[dict[str, float] | None, Field(description="COCO's AP and AP50, where there is a truth.")] = None


class ComparisonOut(_Schema):
    """Two arms."""

    baseline: str
    arm: str
    pictures: int
    agreement: Annotated[IntervalOut | None, Field(description="F1 of their answers against each other.")] = None
    differences: dict[str, DifferenceOut]
    latency_ms: dict[str, IntervalOut]


class SampleRatioOut(_Schema):
    """Whether the split is whole."""

    seen: dict[str, int]
    expected: dict[str, float]
    p_value: float
    mismatch: bool


class VerdictOut(_Schema):
    """What to do."""

    kind: Literal["empty", "broken", "better", "equal", "undecided", "unknown"]
    sentence: str
    winner: str | None = None
    pictures_needed: Annotated[int | None, Field(description="How many more, if things go on as they did.")] = None


class ReportOut(_Schema):
    """A report on one feature."""

    experiment: str
    state: str
    feature: Feature
    verdict: VerdictOut
    pictures: int
    people: Annotated[int, Field(description="Pictures that a person has judged.")]
    held_against: Annotated[Literal["truth", "reference", "each_other", "nothing"], Field(description="What counts as right.")]
    reference: Annotated[str | None, Field(description="The arm that the others are held against, where there is no truth.")] = None
    quality: Annotated[str | None, Field(description="The metric that decides.")] = None
    level: Annotated[float, Field(description="All intervals hold together in this share of cases.")]
    metrics: list[MetricOut]
    arms: dict[str, ArmReportOut]
    comparisons: list[ComparisonOut]
    sample_ratio: SampleRatioOut | None = None
    one_vocabulary_only: Annotated[
        dict[str, dict[str, int]], Field(description="Labels that not every side has a name for, and who said them how often; no errors.")
    ]


def number(value: float) -> float | None:
    """As JSON has it: what is not known is left out."""
    return value if math.isfinite(value) else None
