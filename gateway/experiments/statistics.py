"""What may be concluded from pictures: intervals, a test that may be looked at every day, and how many pictures are still needed. Pure.

Every quantity is a ratio of two sums over pictures: recall is the sum of what is right over the sum of what is there, the cost of a picture
the sum of dollars over the number of pictures. So one bootstrap and one linearisation serve them all.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Units = NDArray[np.int64]
"""(n,) which unit a picture belongs to, from 0 up without gaps."""

RESAMPLES = 4_000
BLOCKS_MAX = 2_000
"""More pictures than that are resampled in so many random groups: the interval is the same, the work is not."""

_CHUNK = 250
_TIGHTEST_AT = 400
"""Pictures at which the sequence of intervals is narrowest; any number is valid."""

PICTURES_MIN = 50
"""Fewer pictures decide nothing: the intervals of a sequence are right in the limit only."""

PICTURES_NEEDED_MAX = 10_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and where the truth lies: `low <= truth <= high`, but for the share of cases that its maker was given."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """How far one arm is from another in one quantity.

    Attributes:
        interval: by bootstrap, for one look.
        always: valid at all looks together.
        p_value: always-valid too: may be read at any time.
        different: the always-valid interval leaves out 0, and there are enough pictures.
        deviation: of one picture's share in the estimate: what the number of pictures still needed is reckoned from.
        pictures: independent ones, in both arms.
    """

    interval: Interval
    always: Interval
    p_value: float
    different: bool
    deviation: float
    pictures: int


def ratio(over: Floats, under: Floats) -> Floats:
    """Over / under, NaN where there is nothing under."""
    quotient: Floats = np.divide(over, under, out=np.full(np.broadcast(over, under).shape, np.nan), where=under != 0)
    return quotient


def grouped(values: Floats, units: Units) -> Floats:
    """(n, k) rows -> (units, k) sums: pictures of one unit are not independent, units are."""
    sums = np.zeros((int(units.max()) + 1 if len(units) else 0, values.shape[1]))
    np.add.at(sums, units, values)
    return sums


def resampled(tables: Sequence[Floats], *, paired: bool, seed: int = 0, resamples: int = RESAMPLES) -> list[Floats]:
    """Sums over units drawn with replacement.

    Args:
        tables: one an arm, (units, k).
        paired: the arms' rows are the same units, drawn together; otherwise each arm is drawn alone.
        seed: the same report for the same pictures.
        resamples: how often.

    Returns: one an arm, (resamples, k).
    Source: B. Efron, R. Tibshirani, An Introduction to the Bootstrap, 1993, chapters 8 and 13
    """
    chance = np.random.default_rng(seed)
    if paired and tables:
        drawn = _draw(np.concatenate(tables, axis=1), chance, resamples)
        return np.split(drawn, np.cumsum([table.shape[1] for table in tables])[:-1], axis=1)
    return [_draw(table, chance, resamples) for table in tables]


def percentile_interval(value: float, draws: Floats, miss: float) -> Interval:
    """Where all but the share `miss` of the draws lie; NaN where there are no draws."""
    known = draws[np.isfinite(draws)]
    if not known.size:
        return Interval(value, math.nan, math.nan)
    low, high = np.quantile(known, [miss / 2, 1 - miss / 2])
    return Interval(value, min(float(low), value), max(float(high), value))


def compare(
    baseline: tuple[Floats, Floats], arm: tuple[Floats, Floats], draws: Floats, *, paired: bool, miss_once: float, miss_ever: float
) -> Difference:
    """Arm less baseline, of one quantity.

    Args:
        baseline: (units,) what is summed above the line, and below it.
        arm: the same of the other.
        draws: of the difference, from `resampled`.
        paired: the same units in both.
        miss_once: share of cases in which the interval for one look may leave out the truth.
        miss_ever: the same of the one that is valid at all looks together.
    """
    shares = [_shares(over, under) for over, under in (baseline, arm)]
    value = _value(arm) - _value(baseline)
    enough = min(np.count_nonzero(under) for _, under in (baseline, arm)) >= PICTURES_MIN
    if paired:
        units = len(shares[0])
        deviation = _deviation(shares[1] - shares[0])
    else:
        units = len(shares[0]) + len(shares[1])
        deviation = math.sqrt(units * sum(_deviation(one) ** 2 / max(len(one), 1) for one in shares))
    reach = radius(units, deviation, miss_ever)
    p_value = always_valid_p(value, units, deviation, miss_ever)
    return Difference(
        interval=percentile_interval(value, draws, miss_once),
        always=Interval(value, value - reach, value + reach),
        p_value=p_value,
        different=bool(enough and abs(value) > reach),
        deviation=deviation,
        pictures=units,
    )


def radius(pictures: int, deviation: float, miss: float) -> float:
    """How far the truth may be from the estimate after so many pictures, at all numbers of pictures together.

    The boundary of a normal mixture (Robbins 1970; the mixture SPRT of Johari, Pekelis, Walsh 2015), for estimates that are means in the
    limit: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences", 2021,
    theorem 2.2: s sqrt(2 (n r^2 + 1) / (n^2 r^2) log(sqrt(n r^2 + 1) / miss)).
    """
    if pictures < 1 or not math.isfinite(deviation):
        return math.inf
    spread = pictures * _mixture(miss)
    return deviation * math.sqrt(2 * (spread + 1) / (pictures * spread) * math.log(math.sqrt(spread + 1) / miss))


def always_valid_p(value: float, pictures: int, deviation: float, miss: float) -> float:
    """How surprising the estimate would be without any difference, whenever one looks: 1 over the mixture's likelihood ratio."""
    if pictures < 1 or not math.isfinite(value) or not math.isfinite(deviation):
        return 1.0
    if deviation == 0:
        return 0.0 if value else 1.0
    spread = pictures * _mixture(miss)
    surprise = pictures * (value / deviation) ** 2
    return min(1.0, math.sqrt(spread + 1) * math.exp(-min(spread / (2 * (spread + 1)) * surprise, 700.0)))


def pictures_needed(reach: float, deviation: float, miss: float) -> int | None:
    """The number of pictures at which the sequence's radius is down to `reach`; None: more than anybody will send."""
    if reach <= 0 or not math.isfinite(deviation) or radius(PICTURES_NEEDED_MAX, deviation, miss) > reach:
        return None
    low, high = 1, PICTURES_NEEDED_MAX
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if radius(middle, deviation, miss) <= reach else (middle + 1, high)
    return max(low, PICTURES_MIN)


def sample_ratio_p(seen: Sequence[int], weights: Sequence[float]) -> float:
    """How surprising it is that the arms got so many units each, whenever one looks. A small value: the split is broken, believe nothing.

    Source: M. Lindon, A. Malek, Anytime-valid inference for multinomial count data, 2020: a Dirichlet mixture against the intended shares.
    """
    shares = np.array(weights, dtype=np.float64) / sum(weights)
    counts = np.array(seen, dtype=np.float64)[shares > 0]
    shares = shares[shares > 0]
    prior = shares * len(shares)
    seen_too = sum(math.lgamma(a + n) - math.lgamma(a) for a, n in zip(prior.tolist(), counts.tolist(), strict=True))
    evidence = seen_too - math.lgamma(prior.sum() + counts.sum()) + math.lgamma(prior.sum())
    return float(min(1.0, math.exp(min(0.0, float((counts * np.log(shares)).sum() - evidence)))))


def quantile_draws(values: Floats, fractions: Sequence[float], *, seed: int = 0, resamples: int = 1_000) -> Floats:
    """(resamples, fractions) quantiles of values drawn with replacement; at most the latest 2,000 values."""
    values = values[-BLOCKS_MAX:]
    if not values.size:
        return np.full((resamples, len(fractions)), np.nan)
    chance = np.random.default_rng(seed)
    drawn = values[chance.integers(0, len(values), (resamples, len(values)))]
    quantiles: Floats = np.quantile(drawn, fractions, axis=1).T
    return quantiles


def _mixture(miss: float) -> float:
    """r^2 that makes the radius smallest at `_TIGHTEST_AT` pictures (the same paper, appendix on tuning)."""
    surprise = -2 * math.log(miss)
    return (surprise + math.log(surprise + 1)) / _TIGHTEST_AT


def _draw(table: Floats, chance: np.random.Generator, resamples: int) -> Floats:
    if len(table) > BLOCKS_MAX:
        table = grouped(table, chance.permutation(np.arange(len(table)) % BLOCKS_MAX))
    units = len(table)
    sums = np.zeros((resamples, table.shape[1]))
    if not units:
        return sums
    for start in range(0, resamples, _CHUNK):
        rows = min(_CHUNK, resamples - start)
        chosen = chance.integers(0, units, (rows, units)) + units * np.arange(rows)[:, None]
        times = np.bincount(chosen.ravel(), minlength=rows * units).reshape(rows, units)
        sums[start : start + rows] = times.astype(np.float64) @ table
    return sums


def _value(arm: tuple[Floats, Floats]) -> float:
    return float(ratio(arm[0].sum(), arm[1].sum()))


def _shares(over: Floats, under: Floats) -> Floats:
    """(units,) how much each unit moves the ratio of the sums: (over - ratio under) / mean(under). Their mean is 0.

    Source: the delta method; W. G. Cochran, Sampling Techniques, section 6.4
    """
    total = under.sum()
    if not total:
        return np.full(len(under), np.nan)
    shares: Floats = (over - over.sum() / total * under) / (total / len(under))
    return shares


def _deviation(shares: Floats) -> float:
    return float(shares.std(ddof=1)) if len(shares) > 1 else math.inf
