"""What a month will have cost at its end, from daily spend: a level that follows the last weeks, a pattern of weekdays, and an interval.

A day's expected spend is the weighted mean of its weekday, where a day counts half as much as one three weeks later, drawn towards the
mean of all days as far as its weekday has been seen rarely. The interval is Student's t over the days that are left, with the errors of
one day carried to the next as they were seen to be, and with the level's own uncertainty. It claims 80 %; the backtest says what it kept:
every past day is forecast from what was known before it.

Estimates are floats and end as whole nano-dollars; nothing here is booked. SciPy is imported with the first forecast, never at start.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cost.money import FREE, Money

COVERAGE = 0.8
HISTORY_DAYS = 400
FIT_DAYS = 120
_HALF_LIFE_DAYS = 21.0
_SHRINK_DAYS = 0.1  # a weekday's mean counts as if so many more days had the mean of all
_WEEKDAYS_FROM = 14  # days, before which weekdays are not told apart
_INTERVAL_FROM = 5  # days, before which nobody can say how sure a forecast is
_BACKTEST_FROM = 14

Method = Literal["weekdays", "mean", "none"]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PastMonth:
    """A month that has ended, forecast on the same day of it as today."""

    month: str
    forecast: Money
    low: Money
    high: Money
    actual: Money


@dataclass(frozen=True, slots=True)
class Backtest:
    """How forecasts of past months did.

    Attributes:
        forecasts: one a past day of a month that has ended, each from what was known before that day.
        covered: the share of them whose interval held what came.
        median_error: of the whole month's spend, as a share of it.
    """

    forecasts: int
    covered: float
    median_error: float
    months: tuple[PastMonth, ...]


@dataclass(frozen=True, slots=True)
class Forecast:
    """One series to the end of its month.

    Attributes:
        spent: this month so far, today included.
        low, high: None where there is too little history to say.
        method: `none` where there is no day of history: then what was spent so far is all that is known.
    """

    spent: Money
    forecast: Money
    low: Money | None
    high: Money | None
    history_days: int
    method: Method
    backtest: Backtest | None


def forecast_month(daily: Mapping[date, Money], today: date) -> Forecast:
    """Forecast the end of `today`'s month.

    Args:
        daily: spend by day; days that are missing cost nothing. Today's is what it has cost so far.
        today: not yet over; days before it are.
    """
    first = min((day for day, amount in daily.items() if amount and day < today), default=today)
    first = max(first, today - timedelta(days=HISTORY_DAYS))
    days = [first + timedelta(days=n) for n in range((today - first).days)]
    series = np.array([daily.get(day, FREE).nanos for day in days], dtype=np.float64)
    month_start = today.replace(day=1)
    before = sum((amount for day, amount in daily.items() if month_start <= day < today), FREE)
    so_far = daily.get(today, FREE)
    ahead = _ahead(today)
    if not days:
        return Forecast(before + so_far, before + so_far, None, None, 0, "none", None)
    estimate = _estimate(series, days, ahead)
    # Today has cost at least what it has cost so far.
    expected = max(estimate.today, so_far.nanos) + estimate.later
    forecast = before + _money(expected)
    low, high = _interval(before, so_far, expected, estimate.half_width)
    return Forecast(before + so_far, forecast, low, high, len(days), estimate.method, _backtest(series, days, today))


def _ahead(day: date) -> list[date]:
    """The days from this one to its month's last."""
    ahead = [day]
    while (following := ahead[-1] + timedelta(days=1)).month == day.month:
        ahead.append(following)
    return ahead


@dataclass(frozen=True, slots=True)
class _Estimate:
    """In nanos: the first day ahead, all later ones, and the interval's half width (None: too few days)."""

    today: float
    later: float
    half_width: float | None
    method: Method


def _estimate(series: Floats, days: Sequence[date], ahead: Sequence[date]) -> _Estimate:
    series, days = series[-FIT_DAYS:], days[-FIT_DAYS:]
    weekdays = np.array([day.weekday() for day in days])
    weights = 0.5 ** (np.arange(len(days) - 1, -1, -1) / _HALF_LIFE_DAYS)
    mean = np.full(7, np.average(series, weights=weights))
    method: Method = "weekdays" if len(days) >= _WEEKDAYS_FROM else "mean"
    if method == "weekdays":
        seen = np.bincount(weekdays, weights, 7)
        mean = (np.bincount(weekdays, weights * series, 7) + _SHRINK_DAYS * mean) / (seen + _SHRINK_DAYS)
    expected = np.maximum(mean, 0.0)[[day.weekday() for day in ahead]]  # corrections may have made a past day cost less than nothing
    half_width = None if len(days) < _INTERVAL_FROM else _half_width(series - mean[weekdays], weights, len(ahead))
    return _Estimate(float(expected[0]), float(expected[1:].sum()), half_width, method)


def _half_width(errors: Floats, weights: Floats, ahead: int) -> float:
    """Of an interval over a sum of days ahead."""
    from scipy.stats import t  # noqa: PLC0415 -- half a second that only a forecast needs

    effective = float(weights.sum() ** 2 / (weights**2).sum())
    variance = float(np.average(errors**2, weights=weights)) * effective / max(effective - 1.0, 1.0)
    if variance == 0.0:
        return 0.0
    carried = float(np.clip((errors[1:] * errors[:-1]).sum() / (errors**2).sum(), 0.0, 0.9))
    lags = np.arange(1, ahead)
    of_days = ahead + 2.0 * float(((ahead - lags) * carried**lags).sum())
    of_level = ahead**2 * (1.0 + carried) / (1.0 - carried) / effective
    return float(t.ppf((1.0 + COVERAGE) / 2.0, max(effective - 1.0, 1.0))) * float(np.sqrt(variance * (of_days + of_level)))


def _interval(before: Money, so_far: Money, expected: float, half_width: float | None) -> tuple[Money | None, Money | None]:
    if half_width is None:
        return None, None
    return max(before + so_far, before + _money(expected - half_width)), before + _money(expected + half_width)


def _backtest(series: Floats, days: Sequence[date], today: date) -> Backtest | None:
    """Every day of a month that has ended and of which the whole is known, forecast from the days before it."""
    month_start = today.replace(day=1)
    errors, covered, months = [], [], []
    for place, day in enumerate(days):
        if day >= month_start or place < _BACKTEST_FROM:
            continue
        ahead = _ahead(day)
        estimate = _estimate(series[:place], days[:place], ahead)
        before = _money(float(series[place - min(day.day - 1, place) : place].sum()))
        actual = before + _money(float(series[place : place + len(ahead)].sum()))
        expected = before + _money(estimate.today + estimate.later)
        low, high = _interval(before, FREE, estimate.today + estimate.later, estimate.half_width)
        if low is None or high is None or not actual:
            continue
        covered.append(low <= actual <= high)
        errors.append(abs(expected.nanos - actual.nanos) / actual.nanos)
        if day.day == min(today.day, ahead[-1].day):
            months.append(PastMonth(f"{day:%Y-%m}", expected, low, high, actual))
    if not errors:
        return None
    return Backtest(len(errors), sum(covered) / len(covered), median(errors), tuple(months))


def _money(nanos: float) -> Money:
    return Money(round(nanos))
