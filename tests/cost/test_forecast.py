import random
import subprocess
import sys
from datetime import date, timedelta

import numpy as np
import pytest

from cost.forecast import COVERAGE, forecast_month
from cost.money import FREE, Money
from tests.processes import ROOT

WEEK = (100, 110, 105, 100, 90, 20, 10)


def traffic(first, today, noise=0.1, seed=1, level=10**7):
    """Spend with a weekday pattern; `noise` is each day's, as a share."""
    chance = random.Random(seed)
    days = [first + timedelta(days=n) for n in range((today - first).days)]
    return {day: Money(int(level * WEEK[day.weekday()] * max(0.0, chance.gauss(1, noise)))) for day in days}


def of_month(daily, year, month):
    return sum((amount for day, amount in daily.items() if (day.year, day.month) == (year, month)), FREE)


def test_weekdays_are_told_apart():
    daily = traffic(date(2026, 8, 1), date(2026, 12, 1), noise=0.0)
    known = {day: amount for day, amount in daily.items() if day < date(2026, 11, 14)}  # a Saturday
    found = forecast_month(known, date(2026, 11, 14))
    actual = of_month(daily, 2026, 11)
    assert found.method == "weekdays"
    assert abs(found.forecast.nanos - actual.nanos) < actual.nanos * 0.06
    mean_of_days = of_month(known, 2026, 11).nanos * 30 // 13
    assert abs(found.forecast.nanos - actual.nanos) < abs(mean_of_days - actual.nanos)


@pytest.mark.parametrize("noise", [0.05, 0.3])
def test_the_interval_holds_about_as_often_as_it_claims(noise):
    held, shares = 0, []
    for seed in range(60):
        daily = traffic(date(2026, 7, 1), date(2026, 12, 1), noise, seed)
        today = date(2026, 11, 5) + timedelta(days=seed % 20)
        found = forecast_month({day: amount for day, amount in daily.items() if day < today}, today)
        held += found.low <= of_month(daily, 2026, 11) <= found.high
        shares.append(found.backtest.covered)
    assert 0.68 <= held / 60 <= 0.97
    assert 0.65 <= float(np.mean(shares)) <= 0.98


def test_past_months_are_forecast_from_what_was_known_before():
    daily = traffic(date(2026, 8, 1), date(2026, 11, 10))
    found = forecast_month(daily, date(2026, 11, 10))
    assert [past.month for past in found.backtest.months] == ["2026-09", "2026-10"]
    for past in found.backtest.months:
        assert past.actual == of_month(daily, 2026, int(past.month[-2:]))
    october = found.backtest.months[-1]
    again = forecast_month({day: amount for day, amount in daily.items() if day < date(2026, 10, 10)}, date(2026, 10, 10))
    assert (october.forecast, october.low, october.high) == (again.forecast, again.low, again.high)
    assert 0 <= found.backtest.median_error < 0.2


def test_a_month_has_cost_at_least_what_it_has_cost_so_far():
    daily = traffic(date(2026, 11, 1), date(2026, 11, 30)) | {date(2026, 11, 30): Money.usd("1000")}
    found = forecast_month(daily, date(2026, 11, 30))
    assert found.spent == of_month(daily, 2026, 11) == found.low
    assert found.forecast >= found.spent


@pytest.mark.parametrize(("days", "method", "sure"), [(0, "none", False), (2, "mean", False), (7, "mean", True), (20, "weekdays", True)])
def test_little_history_is_told(days, method, sure):
    today = date(2026, 11, 25)
    found = forecast_month(traffic(today - timedelta(days=days), today), today)
    assert (found.method, found.history_days, found.low is not None, found.high is not None) == (method, days, sure, sure)
    assert found.backtest is None


def test_nothing_was_ever_spent():
    found = forecast_month({}, date(2026, 11, 25))
    assert (found.spent, found.forecast, found.low, found.method) == (FREE, FREE, None, "none")


def test_on_the_first_day_ever_what_was_spent_is_all_that_is_known():
    found = forecast_month({date(2026, 11, 25): Money(5)}, date(2026, 11, 25))
    assert (found.spent, found.forecast, found.method) == (Money(5), Money(5), "none")


def test_no_library_of_statistics_is_loaded_at_start():
    code = "import sys, gateway.app; print([m for m in sys.modules if m.startswith(('scipy', 'pyarrow', 'pandas', 'statsmodels'))])"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_the_claim_is_written_down():
    assert COVERAGE == 0.8


def test_a_correction_of_a_past_day_forecasts_no_income():
    daily = {date(2026, 11, 24): Money(-900), date(2026, 11, 25): Money(500)}
    assert forecast_month(daily, date(2026, 11, 25)).forecast == Money(500) + Money(-900)
