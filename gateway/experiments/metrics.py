"""What is compared between arms: each a ratio of two sums over pictures, with the name, the unit and the direction that a reader needs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gateway.experiments.scoring import Score
from gateway.experiments.statistics import Floats
from gateway.experiments.terms import ArmAnswer
from providers.contract import Feature

Unit = Literal["share", "things", "usd", "usd_per_1000", "ms"]
_NANOS_PER_USD = 1e9
_PICTURES = 1_000


@dataclass(frozen=True, slots=True)
class Row:
    """One arm and one picture.

    Attributes:
        score: None where nothing is known to hold the answer against, or nobody answered.
        people: whether a person called it right; None where nobody judged.
    """

    answer: ArmAnswer
    score: Score | None = None
    people: bool | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    """One quantity.

    Attributes:
        better: which direction is.
        by_score: whether it needs something to hold answers against.
        of: what a picture adds above and below the line.
    """

    name: str
    title: str
    unit: Unit
    better: Literal["higher", "lower"]
    of: Callable[[Row], tuple[float, float]]
    by_score: bool = False


def _scored(of: Callable[[Score], tuple[float, float]]) -> Callable[[Row], tuple[float, float]]:
    return lambda row: (0.0, 0.0) if row.score is None else of(row.score)


def _usd(row: Row) -> float:
    """For estimates only: sums of money that are shown are exact and come from `Money`."""
    return row.answer.cost.nanos / _NANOS_PER_USD


def _latency(row: Row) -> tuple[float, float]:
    return (0.0, 0.0) if row.answer.latency_ms is None or row.answer.error else (row.answer.latency_ms, 1.0)


F1 = Metric("f1", "F1", "share", "higher", _scored(lambda s: (2 * s.right, 2 * s.right + s.wrong + s.missed)), by_score=True)
PEOPLE = Metric("people", "Called right by people", "share", "higher", lambda row: (float(bool(row.people)), float(row.people is not None)))
COST = Metric("cost_usd_per_1000", "Cost of 1,000 pictures, as billed", "usd_per_1000", "lower", lambda row: (_PICTURES * _usd(row), 1.0))

QUALITY = (
    F1,
    Metric("precision", "Precision", "share", "higher", _scored(lambda s: (s.right, s.right + s.wrong)), by_score=True),
    Metric("recall", "Recall", "share", "higher", _scored(lambda s: (s.right, s.right + s.missed)), by_score=True),
    Metric("count_error", "Count error a picture", "things", "lower", _scored(lambda s: (s.count_error, 1.0)), by_score=True),
)
PLACES = Metric(
    "localisation_error",
    "Localisation error (1 - IoU)",
    "share",
    "lower",
    _scored(lambda s: (s.placed - s.overlap, s.placed)),
    by_score=True,
)
TEXTS = Metric("text_likeness", "Text likeness", "share", "higher", _scored(lambda s: (s.likeness or 0.0, 1.0)), by_score=True)
COST_OF_CORRECT = Metric(
    "cost_usd_per_correct",
    "Cost per correct detection",
    "usd",
    "lower",
    lambda row: (0.0, 0.0) if row.score is None else (_usd(row), float(row.score.right)),
    by_score=True,
)
SERVICE = (
    COST,
    Metric("latency_ms_mean", "Latency, mean", "ms", "lower", _latency),
    Metric("error_rate", "Error rate", "share", "lower", lambda row: (float(bool(row.answer.error)), 1.0)),
)


def metrics_for(feature: Feature, *, scored: bool, judged: bool) -> tuple[Metric, ...]:
    """The table's rows: quality where there is something to hold answers against, what people said, then cost, speed and failures."""
    quality: tuple[Metric, ...] = ()
    if scored:
        own = {"objects": (PLACES,), "faces": (PLACES,), "text": (TEXTS,)}.get(feature, ())
        quality = (*QUALITY, *own, COST_OF_CORRECT)
    return (*quality, *((PEOPLE,) if judged else ()), *SERVICE)


def table(rows: Sequence[Row], metrics: Sequence[Metric]) -> Floats:
    """(rows, 2 metrics): what each picture adds above the line of each metric, then what it adds below."""
    cells = [[metric.of(row) for metric in metrics] for row in rows]
    return np.array([[*(over for over, _ in line), *(under for _, under in line)] for line in cells], dtype=np.float64).reshape(
        len(rows), 2 * len(metrics)
    )
