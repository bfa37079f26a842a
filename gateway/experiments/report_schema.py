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

    value: Annotated[float | None, Field(description="The estimate.")] = None
    low: Annotated[float | None, Field(description="The interval's lower end.")] = None
    high: Annotated[float | None, Field(description="Its upper end.")] = None


class DifferenceOut(IntervalOut):
    """The arm less the baseline."""

    always: Annotated[IntervalOut, Field(description="Valid however often somebody looks.")]
    p_value: Annotated[float, Field(description="Always valid, too.")]
    different: Annotated[bool, Field(description="Whether it is told apart from chance, however often somebody looks.")]


class MetricOut(_Schema):
    """What a number means."""

    name: Annotated[str, Field(description="The word for it in `metrics` and `differences`.")]
    title: Annotated[str, Field(description="The same for people.")]
    unit: Annotated[str, Field(description="share in [0, 1], things, usd, usd_per_1000 or ms.")]
    better: Annotated[Literal["higher", "lower"], Field(description="Which direction is.")]


class LabelOut(_Schema):
    """One label's detections."""

    right: Annotated[int, Field(description="Found and there.")]
    wrong: Annotated[int, Field(description="Found and not there.")]
    missed: Annotated[int, Field(description="There and not found.")]


class ArmReportOut(_Schema):
    """What one arm did."""

    pictures: Annotated[int, Field(description="That it was asked about.")]
    cost_usd: Annotated[Usd, Field(description="Exact, of all its pictures.")]
    errors: Annotated[dict[str, int], Field(description="How often it failed, by code.")]
    metrics: Annotated[dict[str, IntervalOut], Field(description="By a metric's name.")]
    latency_ms: Annotated[dict[str, IntervalOut], Field(description="p50 and p95.")]
    labels: Annotated[dict[str, LabelOut], Field(description="By label; objects only counted where something says what is there.")]
    average_precision: Annotated[dict[str, float] | None, Field(description="COCO's AP and AP50, where there is a truth.")] = None


class ComparisonOut(_Schema):
    """Two arms."""

    baseline: Annotated[str, Field(description="The arm that is taken away.")]
    arm: Annotated[str, Field(description="The arm it is taken away from.")]
    pictures: Annotated[int, Field(description="That both answered.")]
    agreement: Annotated[IntervalOut | None, Field(description="F1 of their answers against each other.")] = None
    differences: Annotated[dict[str, DifferenceOut], Field(description="By a metric's name: arm less baseline.")]
    latency_ms: Annotated[dict[str, IntervalOut], Field(description="p50 and p95: arm less baseline.")]


class SampleRatioOut(_Schema):
    """Whether the split is whole."""

    seen: Annotated[dict[str, int], Field(description="Units in each arm.")]
    expected: Annotated[dict[str, float], Field(description="By the arms' weights.")]
    p_value: Annotated[float, Field(description="How likely such shares are in a whole split.")]
    mismatch: Annotated[bool, Field(description="The split is broken: believe nothing else here.")]


class VerdictOut(_Schema):
    """What to do."""

    kind: Annotated[
        Literal["empty", "broken", "better", "equal", "undecided", "unknown"],
        Field(description="empty, broken, better, equal, undecided, or unknown: nothing says who is right."),
    ]
    sentence: Annotated[str, Field(description="What to do, and why, in one sentence.")]
    winner: Annotated[str | None, Field(description="The arm to choose, if there is one.")] = None
    pictures_needed: Annotated[int | None, Field(description="How many more, if things go on as they did.")] = None


class ReportOut(_Schema):
    """A report on one feature."""

    experiment: Annotated[str, Field(description="Its name.")]
    state: Annotated[str, Field(description="draft, running or stopped.")]
    feature: Annotated[Feature, Field(description="What is compared.")]
    verdict: VerdictOut
    pictures: Annotated[int, Field(description="Behind these numbers.")]
    people: Annotated[int, Field(description="Pictures that a person has judged.")]
    held_against: Annotated[Literal["truth", "reference", "each_other", "nothing"], Field(description="What counts as right.")]
    reference: Annotated[str | None, Field(description="The arm that the others are held against, where there is no truth.")] = None
    quality: Annotated[str | None, Field(description="The metric that decides.")] = None
    level: Annotated[float, Field(description="All intervals hold together in this share of cases.")]
    metrics: Annotated[list[MetricOut], Field(description="What the numbers are called.")]
    arms: Annotated[dict[str, ArmReportOut], Field(description="By arm.")]
    comparisons: Annotated[list[ComparisonOut], Field(description="Each two arms.")]
    sample_ratio: Annotated[SampleRatioOut | None, Field(description="Of a split: whether it is whole.")] = None
    one_vocabulary_only: Annotated[
        dict[str, dict[str, int]], Field(description="Labels that not every side has a name for, and who said them how often; no errors.")
    ]


def number(value: float) -> float | None:
    """As JSON has it: what is not known is left out."""
    return value if math.isfinite(value) else None
