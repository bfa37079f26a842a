"""An experiment's report as it is sent and shown: read, computed, judged."""

from gateway.experiments.precision import average_precision
from gateway.experiments.report import MISS, ArmReport, PairReport, Report, build_report
from gateway.experiments.report_schema import (
    ArmReportOut,
    ComparisonOut,
    DifferenceOut,
    IntervalOut,
    LabelOut,
    MetricOut,
    ReportOut,
    SampleRatioOut,
    VerdictOut,
    number,
)
from gateway.experiments.statistics import Difference, Interval
from gateway.experiments.store import Experiment, ExperimentStore
from gateway.experiments.verdict import verdict_of
from providers.contract import Feature


def make_report(store: ExperimentStore, experiment: Experiment, feature: Feature | None = None) -> Report:
    """The report of what has been kept so far; of the first feature by default."""
    seen = store.observations(experiment.name)
    return build_report(experiment.terms, seen, feature or experiment.terms.features[0], experiment.truth_labels)


def report_on(store: ExperimentStore, experiment: Experiment, feature: Feature | None = None) -> ReportOut:
    """The same as it is sent."""
    return write_report(make_report(store, experiment, feature), experiment)


def write_report(report: Report, experiment: Experiment) -> ReportOut:
    """A report as it is sent."""
    verdict, ratio = verdict_of(report), report.sample_ratio
    precision = average_precision(report) if report.judged.yardstick == "truth" and report.feature == "objects" else {}
    return ReportOut(
        experiment=experiment.name,
        state=experiment.state,
        feature=report.feature,
        verdict=VerdictOut(kind=verdict.kind, sentence=verdict.sentence, winner=verdict.winner, pictures_needed=verdict.pictures_needed),
        pictures=len(report.judged.observations),
        people=report.people,
        held_against=report.judged.yardstick,
        reference=report.judged.reference,
        quality=report.quality.name if report.quality else None,
        level=1 - MISS,
        metrics=[MetricOut(name=m.name, title=m.title, unit=m.unit, better=m.better) for m in report.metrics],
        arms={name: _arm(arm, precision.get(name)) for name, arm in report.arms.items()},
        comparisons=[_pair(pair) for pair in report.pairs],
        sample_ratio=None
        if ratio is None
        else SampleRatioOut(seen=dict(ratio.seen), expected=dict(ratio.expected), p_value=ratio.p_value, mismatch=ratio.mismatch),
        one_vocabulary_only={label: dict(counts) for label, counts in sorted(report.judged.apart.items())},
    )


def _arm(arm: ArmReport, precision: dict[str, float] | None) -> ArmReportOut:
    return ArmReportOut(
        pictures=arm.pictures,
        cost_usd=str(arm.cost),
        errors=dict(arm.errors),
        metrics={name: _interval(interval) for name, interval in arm.metrics.items()},
        latency_ms={f"p{fraction * 100:.0f}": _interval(interval) for fraction, interval in arm.latency_ms.items()},
        labels={label: LabelOut(right=r, wrong=w, missed=m) for label, (r, w, m) in sorted(arm.labels.items())},
        average_precision=precision,
    )


def _pair(pair: PairReport) -> ComparisonOut:
    return ComparisonOut(
        baseline=pair.baseline,
        arm=pair.arm,
        pictures=pair.pictures,
        agreement=None if pair.agreement is None else _interval(pair.agreement),
        differences={name: _difference(difference) for name, difference in pair.differences.items()},
        latency_ms={f"p{fraction * 100:.0f}": _interval(interval) for fraction, interval in pair.latency_ms.items()},
    )


def _difference(difference: Difference) -> DifferenceOut:
    interval = difference.interval
    return DifferenceOut(
        value=number(interval.value),
        low=number(interval.low),
        high=number(interval.high),
        always=_interval(difference.always),
        p_value=difference.p_value,
        different=difference.different,
    )


def _interval(interval: Interval) -> IntervalOut:
    return IntervalOut(value=number(interval.value), low=number(interval.low), high=number(interval.high))
