"""An experiment's report: the verdict first, each quantity with its interval, and what the numbers rest on. Pure."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from cost.money import FREE, Money
from gateway.experiments import statistics
from gateway.experiments.answers import Judged, judge
from gateway.experiments.metrics import F1, PEOPLE, Metric, Row, metrics_for, table
from gateway.experiments.scoring import Score
from gateway.experiments.statistics import Difference, Floats, Interval, percentile_interval, ratio
from gateway.experiments.terms import Observation, Terms
from gateway.experiments.vocabulary import Vocabulary
from providers.contract import Feature

MISS = 0.05
"""Share of reports in which anything that is said of the arms may be wrong: shared out among all that is said."""

SAMPLE_RATIO_MISS = 0.001
"""A broken split is a bug, not a finding: it is told only where chance is out of the question."""

LATENCY_FRACTIONS = (0.5, 0.95)


@dataclass(frozen=True)
class ArmReport:
    """What one arm did: `metrics` by name, `latency_ms` by fraction, `cost` exact over all its pictures."""

    pictures: int
    errors: Mapping[str, int]
    cost: Money
    metrics: Mapping[str, Interval]
    latency_ms: Mapping[float, Interval]
    labels: Mapping[str, tuple[int, int, int]]


@dataclass(frozen=True)
class PairReport:
    """Two arms: `arm` less `baseline`, by metric; their answers' agreement with each other; pictures both answered."""

    baseline: str
    arm: str
    pictures: int
    differences: Mapping[str, Difference]
    latency_ms: Mapping[float, Interval]
    agreement: Interval | None


@dataclass(frozen=True)
class SampleRatio:
    """Whether the arms got the shares of units that they should have."""

    seen: Mapping[str, int]
    expected: Mapping[str, float]
    p_value: float

    @property
    def mismatch(self) -> bool:
        """The split is broken: nothing else in the report can be believed."""
        return self.p_value < SAMPLE_RATIO_MISS


@dataclass(frozen=True)
class Report:
    """One feature of one experiment.

    Attributes:
        quality: the metric that decides which arm is better; None where nothing says who is right.
        judged: the pictures behind it.
        people: pictures that a person judged.
    """

    terms: Terms
    feature: Feature
    judged: Judged
    metrics: Sequence[Metric]
    quality: Metric | None
    arms: Mapping[str, ArmReport]
    pairs: Sequence[PairReport]
    sample_ratio: SampleRatio | None
    people: int


def build_report(terms: Terms, observations: Sequence[Observation], feature: Feature, truth_labels: Vocabulary = frozenset()) -> Report:
    """Everything that can be said of one feature of an experiment."""
    judged = judge(terms, observations, feature, truth_labels)
    people = sum(one.people is not None for one in observations)
    reporter = _Reporter(judged, metrics_for(feature, scored=judged.scored, judged=people > 0), _quality(judged, people), terms)
    return Report(
        terms,
        feature,
        judged,
        reporter.metrics,
        reporter.quality,
        arms={name: reporter.arm(name) for name in judged.rows},
        pairs=[reporter.pair(a, b) for a, b in combinations(judged.rows, 2)],
        sample_ratio=_sample_ratio(terms, judged) if terms.mode == "split" else None,
        people=people,
    )


def _quality(judged: Judged, people: int) -> Metric | None:
    """Truth is best; what people said next, once they said enough; agreement with a reference is what is left."""
    if judged.yardstick == "truth" and judged.scored:
        return F1
    if people >= statistics.PICTURES_MIN:
        return PEOPLE
    return F1 if judged.yardstick == "reference" and len(judged.rows) > 2 and judged.scored else None


class _Reporter:
    """The sums of every arm, and what is made of them.

    Attributes:
        tables: by arm, (units, 2 metrics): sums above the lines, then below. Paired arms have a row for every unit.
        draws: by arm, (resamples, metrics): each metric over resampled units.
    """

    def __init__(self, judged: Judged, metrics: tuple[Metric, ...], quality: Metric | None, terms: Terms) -> None:
        self.judged, self.metrics, self.quality = judged, metrics, quality
        self.paired = terms.mode != "split"
        self.interval_miss = MISS / len(metrics)
        units = _numbers([one.unit for one in judged.observations])
        self.tables = {name: self._sums(rows, units) for name, rows in judged.rows.items()}
        drawn = statistics.resampled(list(self.tables.values()), paired=self.paired)
        self.draws = {name: ratio(sums[:, : len(metrics)], sums[:, len(metrics) :]) for name, sums in zip(self.tables, drawn, strict=True)}

    def arm(self, name: str) -> ArmReport:
        rows = [row for row in self.judged.rows[name] if row is not None]
        latencies = _latencies(rows)
        drawn = statistics.quantile_draws(latencies, LATENCY_FRACTIONS)
        values = _values(self.tables[name], len(self.metrics))
        return ArmReport(
            pictures=len(rows),
            errors=dict(Counter(row.answer.error for row in rows if row.answer.error).most_common()),
            cost=sum((row.answer.cost for row in rows), FREE),
            metrics={metric.name: self._interval(n, name, values[n]) for n, metric in enumerate(self.metrics)},
            latency_ms={
                fraction: percentile_interval(_quantile(latencies, fraction), drawn[:, n], self.interval_miss)
                for n, fraction in enumerate(LATENCY_FRACTIONS)
            },
            labels=_labels(rows),
        )

    def _interval(self, n: int, name: str, value: float) -> Interval:
        """Nothing is known of how right the arm is that counts as right: held against itself it would always be perfect."""
        if self.metrics[n].by_score and name == self.judged.reference:
            return Interval(math.nan, math.nan, math.nan)
        return percentile_interval(value, self.draws[name][:, n], self.interval_miss)

    def pair(self, baseline: str, arm: str) -> PairReport:
        rows = [self.judged.rows[name] for name in (baseline, arm)]
        scores = self.judged.agreement[baseline, arm]
        return PairReport(
            baseline,
            arm,
            pictures=sum(None not in both for both in zip(*rows, strict=True)),
            differences={
                metric.name: self._difference(n, baseline, arm)
                for n, metric in enumerate(self.metrics)
                if not (metric.by_score and {baseline, arm} & {self.judged.reference})
            },
            latency_ms=_latency_differences(rows[0], rows[1], self.interval_miss),
            agreement=_agreement(scores, self.interval_miss) if scores else None,
        )

    def _difference(self, n: int, baseline: str, arm: str) -> Difference:
        columns = (n, n + len(self.metrics))
        sides = [(self.tables[name][:, columns[0]], self.tables[name][:, columns[1]]) for name in (baseline, arm)]
        return statistics.compare(
            sides[0],
            sides[1],
            self.draws[arm][:, n] - self.draws[baseline][:, n],
            paired=self.paired,
            miss_once=self.interval_miss,
            miss_ever=self.ever_miss(self.metrics[n]),
        )

    def ever_miss(self, metric: Metric) -> float:
        """What the verdict is about gets half of the chances to be wrong, all the rest the other half; every two arms share them."""
        return ever_miss(metric, self.metrics, self.quality, len(self.judged.rows))

    def _sums(self, rows: Sequence[Row | None], units: statistics.Units) -> Floats:
        asked = np.array([row is not None for row in rows], dtype=bool)
        cells = table([row for row in rows if row is not None], self.metrics)
        if not self.paired:
            return statistics.grouped(cells, np.unique(units[asked], return_inverse=True)[1])
        whole = np.zeros((len(rows), cells.shape[1]))
        whole[asked] = cells
        return statistics.grouped(whole, units)


def ever_miss(metric: Metric, metrics: Sequence[Metric], quality: Metric | None, arms: int) -> float:
    """The share of reports in which this metric's always-valid interval may be wrong for two arms."""
    share = 0.5 if metric is quality else 0.5 / max(len(metrics) - (quality is not None), 1)
    return MISS * share / math.comb(arms, 2)


def _values(sums: Floats, metrics: int) -> list[float]:
    total = sums.sum(axis=0)
    return [float(value) for value in ratio(total[:metrics], total[metrics:])]


def _labels(rows: Sequence[Row]) -> dict[str, tuple[int, int, int]]:
    """Right, wrong and missed, by label."""
    labels: dict[str, tuple[int, int, int]] = {}
    for row in rows:
        for label, counts in (row.score.by_label if row.score else {}).items():
            right, wrong, missed = (a + b for a, b in zip(labels.get(label, (0, 0, 0)), counts, strict=True))
            labels[label] = (right, wrong, missed)
    return labels


def _agreement(scores: Sequence[Score], miss: float) -> Interval:
    """F1 of two arms' answers against each other: the same whichever counts as right."""
    cells = np.array([[2 * one.right, 2 * one.right + one.wrong + one.missed] for one in scores], dtype=np.float64)
    (drawn,) = statistics.resampled([cells], paired=False)
    return percentile_interval(_values(cells, 1)[0], ratio(drawn[:, 0], drawn[:, 1]), miss)


def _latencies(rows: Sequence[Row | None]) -> Floats:
    """Of the answers that say how fast the arm is."""
    known = [row.answer.latency_ms for row in rows if row and row.answer.latency_ms is not None and not row.answer.error]
    return np.array(known, dtype=np.float64)


def _latency_differences(baseline: Sequence[Row | None], arm: Sequence[Row | None], miss: float) -> dict[float, Interval]:
    a, b = _latencies(baseline), _latencies(arm)
    draws = statistics.quantile_draws(b, LATENCY_FRACTIONS, seed=1) - statistics.quantile_draws(a, LATENCY_FRACTIONS)
    return {
        fraction: percentile_interval(_quantile(b, fraction) - _quantile(a, fraction), draws[:, n], miss)
        for n, fraction in enumerate(LATENCY_FRACTIONS)
    }


def _quantile(values: Floats, fraction: float) -> float:
    return float(np.quantile(values, fraction)) if values.size else math.nan


def _sample_ratio(terms: Terms, judged: Judged) -> SampleRatio:
    units = {
        name: {one.unit for one, row in zip(judged.observations, rows, strict=True) if row is not None}
        for name, rows in judged.rows.items()
    }
    seen = {name: len(its) for name, its in units.items()}
    total = sum(arm.weight for arm in terms.arms)
    expected = {arm.name: sum(seen.values()) * arm.weight / total for arm in terms.arms}
    p_value = statistics.sample_ratio_p([seen[arm.name] for arm in terms.arms], [arm.weight for arm in terms.arms])
    return SampleRatio(seen, expected, p_value)


def _numbers(units: Sequence[str]) -> statistics.Units:
    """(n,) a number for each distinct name."""
    numbers: statistics.Units = np.unique(np.array(units, dtype=str), return_inverse=True)[1]
    return numbers
