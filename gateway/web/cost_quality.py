"""What an arm costs against how good it is, as a drawing: geometry only, in the SVG's own units. Further up and to the left is better."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.experiments.metrics import COST, Metric
from gateway.experiments.report import Report
from gateway.experiments.statistics import Interval

WIDTH, HEIGHT = 640, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 620, 16, 256
_STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True, slots=True)
class Tick:
    """A line of the grid, at `at`, and what stands beside it."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Point:
    """One arm: its place, the ends of its intervals, and where its name stands."""

    arm: str
    n: int
    x: float
    y: float
    left: float
    right: float
    top: float
    bottom: float
    text_x: float
    anchor: str
    told: str


@dataclass(frozen=True, slots=True)
class Plot:
    """The drawing."""

    title: str
    points: Sequence[Point]
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]


def plot_of(report: Report, quality: Metric | None) -> Plot | None:
    """The arms by their cost and quality; None where fewer than two have both."""
    if quality is None:
        return None
    known = {
        name: (arm.metrics[COST.name], arm.metrics[quality.name])
        for name, arm in report.arms.items()
        if math.isfinite(arm.metrics[quality.name].value) and math.isfinite(arm.metrics[COST.name].value)
    }
    if len(known) < 2:
        return None
    x_ticks, x_low, x_high = _scale(0.0, max(cost.high for cost, _ in known.values()) * 1.08)
    y_ticks, y_low, y_high = _scale(min(good.low for _, good in known.values()), max(good.high for _, good in known.values()), at_most=1.0)

    def x_of(value: float) -> float:
        return round(_LEFT + (value - x_low) / (x_high - x_low) * (_RIGHT - _LEFT), 1)

    def y_of(value: float) -> float:
        return round(_BOTTOM - (value - y_low) / (y_high - y_low) * (_BOTTOM - _TOP), 1)

    def point(n: int, arm: str, cost: Interval, good: Interval) -> Point:
        x = x_of(cost.value)
        ends = (x_of(cost.low), x_of(cost.high), y_of(good.high), y_of(good.low))
        late = x > (_LEFT + _RIGHT) / 2
        told = f"{arm}: {quality.title} {100 * good.value:.1f} %, ${cost.value:.2f} for 1,000 pictures"
        return Point(arm, n % 6, x, y_of(good.value), *ends, x - 12 if late else x + 12, "end" if late else "start", told)

    order = list(report.arms)
    return Plot(
        title=f"{_what(report, quality)} by the cost of 1,000 pictures",
        points=[point(order.index(arm), arm, cost, good) for arm, (cost, good) in known.items()],
        x_ticks=[Tick(x_of(value), f"${value:g}") for value in x_ticks],
        y_ticks=[Tick(y_of(value), f"{100 * value:g} %") for value in y_ticks],
    )


def _what(report: Report, quality: Metric) -> str:
    return f"{quality.title} held against {report.judged.reference}" if quality.by_score and report.judged.reference else quality.title


def _scale(low: float, high: float, *, at_most: float = math.inf) -> tuple[list[float], float, float]:
    """About five round numbers around a range, and where the axis begins and ends."""
    span = max(high - low, 1e-6)
    power = 10 ** math.floor(math.log10(span / 4))
    step = next(power * factor for factor in _STEPS if power * factor >= span / 4)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    last = max(min(last, math.floor(at_most / step + 1e-9) if at_most < math.inf else last), first + 1)
    ticks = [round(n * step, 10) for n in range(first, last + 1)]
    return ticks, ticks[0], ticks[-1]
