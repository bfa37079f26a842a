"""A report as a page shows it: what is on each line, in words and rounded for the eye. Drawn by `experiment_report.html`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.experiments.metrics import COST, F1, Metric, Unit
from gateway.experiments.report import MISS, PairReport, Report
from gateway.experiments.statistics import Interval
from gateway.experiments.verdict import Verdict, verdict_of
from gateway.web.cost_quality import Plot, plot_of

_DASH = "–"
_LABELS_MAX = 25
_MOOD = {"better": "good", "equal": "good", "undecided": "warn", "broken": "bad"}
_WORD = {
    "empty": "No pictures yet",
    "broken": "Broken",
    "better": "Decided",
    "equal": "Decided",
    "undecided": "Still open",
    "unknown": "No truth",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """A number, and where the truth lies."""

    value: str
    interval: str = ""


@dataclass(frozen=True, slots=True)
class DifferenceCell(Cell):
    """How far one arm is from another; `mark` is better, worse or "" where it may be chance; `always` the interval for every look."""

    mark: str = ""
    always: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One metric: a cell an arm, and one a pair of arms."""

    title: str
    note: str
    arms: Sequence[Cell]
    differences: Sequence[DifferenceCell]
    decides: bool = False


@dataclass(frozen=True, slots=True)
class LabelLine:
    """One label: right, wrong, missed, an arm after the other."""

    label: str
    counts: Sequence[tuple[int, int, int]]


@dataclass(frozen=True, slots=True)
class ReportView:
    """Everything that `experiment_report.html` draws."""

    verdict: Verdict
    mood: str
    word: str
    arms: Sequence[str]
    pairs: Sequence[tuple[str, str]]
    lines: Sequence[Line]
    labels: Sequence[LabelLine]
    labels_more: int
    apart: Sequence[tuple[str, str]]
    agreements: Sequence[tuple[str, str, Cell]]
    plot: Plot | None
    held_against: str
    reference: str
    pictures: int
    people: int
    level: str


def view_of(report: Report) -> ReportView:
    """The report in words."""
    verdict = verdict_of(report)
    arms = list(report.arms)
    totals = {
        label: sum(sum(arm.labels.get(label, (0, 0, 0))) for arm in report.arms.values())
        for label in {label for arm in report.arms.values() for label in arm.labels}
    }
    common = sorted(totals, key=lambda label: (-totals[label], label))
    return ReportView(
        verdict=verdict,
        mood=_MOOD.get(verdict.kind, "quiet"),
        word=_WORD[verdict.kind],
        arms=arms,
        pairs=[(pair.baseline, pair.arm) for pair in report.pairs],
        lines=[*(_line(report, metric) for metric in report.metrics), *_latency_lines(report)],
        labels=[LabelLine(label, [report.arms[arm].labels.get(label, (0, 0, 0)) for arm in arms]) for label in common[:_LABELS_MAX]],
        labels_more=max(0, len(common) - _LABELS_MAX),
        apart=[
            (label, ", ".join(f"{who} {count}" for who, count in counts.most_common()))
            for label, counts in sorted(report.judged.apart.items(), key=lambda item: -sum(item[1].values()))
        ],
        agreements=[(pair.baseline, pair.arm, _cell(pair.agreement, "share")) for pair in report.pairs if pair.agreement is not None],
        plot=plot_of(report, report.quality or (F1 if F1 in report.metrics else None)),
        held_against=_held_against(report),
        reference=report.judged.reference or "",
        pictures=len(report.judged.observations),
        people=report.people,
        level=f"{100 * (1 - MISS):.0f} %",
    )


def _held_against(report: Report) -> str:
    return {
        "truth": "the truth",
        "reference": f"the answers of {report.judged.reference}, which may be wrong themselves",
        "each_other": f"each other ({report.judged.reference} first): agreement, not correctness",
        "nothing": "nothing: cost, speed and failures are all that can be told",
    }[report.judged.yardstick]


def _line(report: Report, metric: Metric) -> Line:
    against = f"held against {report.judged.reference}" if metric.by_score and report.judged.reference else ""
    billed = "free units and volume of the month included" if metric is COST else ""
    return Line(
        title=metric.title,
        note="; ".join(part for part in (f"{metric.better} is better", against, billed) if part),
        arms=[_cell(arm.metrics[metric.name], metric.unit) for arm in report.arms.values()],
        differences=[_difference(pair, metric) for pair in report.pairs],
        decides=metric is report.quality,
    )


def _latency_lines(report: Report) -> list[Line]:
    fractions = next(iter(report.arms.values())).latency_ms
    return [
        Line(
            title="Latency, median" if fraction == 0.5 else f"Latency, {100 * fraction:.0f} % are faster",
            note="lower is better",
            arms=[_cell(arm.latency_ms[fraction], "ms") for arm in report.arms.values()],
            differences=[
                DifferenceCell(_signed(pair.latency_ms[fraction].value, "ms"), _between(pair.latency_ms[fraction], "ms", apart=True))
                for pair in report.pairs
            ],
        )
        for fraction in fractions
    ]


def _cell(interval: Interval, unit: Unit) -> Cell:
    if not math.isfinite(interval.value):
        return Cell(_DASH)
    return Cell(_number(interval.value, unit), _between(interval, unit))


def _difference(pair: PairReport, metric: Metric) -> DifferenceCell:
    found = pair.differences.get(metric.name)
    if found is None or not math.isfinite(found.interval.value):
        return DifferenceCell(_DASH)
    ahead = (found.interval.value > 0) == (metric.better == "higher")
    mark = ("better" if ahead else "worse") if found.different else ""
    return DifferenceCell(
        _signed(found.interval.value, metric.unit),
        _between(found.interval, metric.unit, apart=True),
        mark,
        _between(found.always, metric.unit, apart=True),
    )


def _between(interval: Interval, unit: Unit, *, apart: bool = False) -> str:
    if not (math.isfinite(interval.low) and math.isfinite(interval.high)):
        return ""
    write = _apart if apart else _number
    low, high = write(interval.low, unit), write(interval.high, unit)
    return "" if low == high == write(interval.value, unit) else f"{low} to {high}"


def _signed(value: float, unit: Unit) -> str:
    if not math.isfinite(value):
        return _DASH
    text = _apart(value, unit)
    return f"+{text}" if value > 0 and text.strip("0.$ ptms") else text


def _apart(value: float, unit: Unit) -> str:
    """A difference; of shares in points, since a difference of percents is none of them."""
    return _number(value, unit).replace(" %", " pt")


def _number(value: float, unit: Unit) -> str:
    """Rounded for reading; the JSON report has every digit."""
    sign, size = "−" if value < 0 else "", abs(value)
    if unit == "share":
        return f"{sign}{100 * size:.1f} %"
    if unit == "ms":
        return f"{sign}{size:.0f} ms"
    if unit == "things":
        return f"{sign}{size:.2f}"
    return f"{sign}${size:.2f}" if size >= 1 or size == 0 else f"{sign}${size:.3g}"
