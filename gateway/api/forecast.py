"""`GET /v1/costs/forecast`: the end of this month, by provider and in all."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Annotated, ClassVar, Literal

from flask import Response
from pydantic import BaseModel, Field
from sqlalchemy.exc import OperationalError

from cost.database import read_snapshot
from cost.forecast import COVERAGE, HISTORY_DAYS, Backtest, Forecast, forecast_month
from cost.ledger import CostFilter, cost_rows
from cost.money import FREE, Money
from gateway import errors
from gateway.api.resource import Description, GatewayResource, describes, json_response
from gateway.errors import LedgerUnavailable
from gateway.keys import Role
from gateway.parts import Parts
from gateway.wire.answer import Usd


class PastMonthOut(BaseModel):
    """A month that has ended, as it was forecast on the same day of it."""

    month: Annotated[str, Field(description="YYYY-MM.")]
    forecast_usd: Annotated[Usd, Field(description="What was forecast on this day of it.")]
    low_usd: Annotated[Usd, Field(description="The interval's lower end.")]
    high_usd: Annotated[Usd, Field(description="Its upper end.")]
    actual_usd: Annotated[Usd, Field(description="What it came to.")]


class BacktestOut(BaseModel):
    """How such forecasts did: each past day's, from what was known before it."""

    forecasts: Annotated[int, Field(description="How many were made.")]
    covered: Annotated[float, Field(description="The share whose interval held what came; `coverage` is what is claimed.")]
    median_error: Annotated[float, Field(description="Of the month's spend, as a share of it.")]
    months: Annotated[list[PastMonthOut], Field(description="Months that have ended.")]


class ForecastRow(BaseModel):
    """The month's end."""

    spent_usd: Annotated[Usd, Field(description="So far, with what is unknown.")]
    forecast_usd: Annotated[Usd, Field(description="At the month's end.")]
    low_usd: Annotated[Usd | None, Field(description="Missing where there are fewer than five days of history.")] = None
    high_usd: Annotated[Usd | None, Field(description="Its upper end.")] = None
    history_days: Annotated[int, Field(description="Days that it is made from.")]
    method: Annotated[Literal["weekdays", "mean", "none"], Field(description="weekdays: from 14 days of history on; none: no history.")]
    backtest: Annotated[BacktestOut | None, Field(description="How such forecasts did; absent while there are too few days.")] = None


class ProviderForecast(ForecastRow):
    """Of one provider."""

    provider: str


class ForecastOut(BaseModel):
    """A forecast."""

    as_of: Annotated[date, Field(description="The UTC day it was made on.")]
    month: Annotated[str, Field(description="YYYY-MM.")]
    days_left: Annotated[int, Field(description="Today included.")]
    coverage: Annotated[float, Field(description="How often the interval claims to hold.")]
    rows: Annotated[list[ProviderForecast], Field(description="By provider.")]
    total: ForecastRow


class CostForecast(GatewayResource):
    """The forecast."""

    roles: ClassVar[frozenset[Role]] = frozenset({"finance"})

    @describes(
        Description(
            "What this month will have cost at its end, with an interval, and how such forecasts did",
            ForecastOut,
            errors=(errors.LedgerUnavailable,),
        )
    )
    def get(self) -> Response:
        """Work it out."""
        try:
            return json_response(forecast(self.parts))
        except OperationalError as error:
            raise LedgerUnavailable("The ledger can't be read right now.", retry_after_s=5) from error


def forecast(parts: Parts) -> ForecastOut:
    """This month's, by provider and in all; also for pages."""
    today = parts.ledger.now().date()
    daily = _spend(parts, today)
    of_all: dict[date, Money] = defaultdict(lambda: FREE)
    for days in daily.values():
        for day, amount in days.items():
            of_all[day] += amount
    found = {provider: forecast_month(days, today) for provider, days in sorted(daily.items())}
    in_all = forecast_month(of_all, today)
    shift = sum((one.forecast for one in found.values()), FREE) - in_all.forecast
    total = _row(in_all)
    if shift:
        # Providers that began at different times: the sum of their forecasts is the better one, and what a reader expects to see.
        total |= {"forecast_usd": str(in_all.forecast + shift)}
        if in_all.low is not None and in_all.high is not None:
            total |= {"low_usd": str(max(in_all.spent, in_all.low + shift)), "high_usd": str(in_all.high + shift)}
    return ForecastOut(
        as_of=today,
        month=f"{today:%Y-%m}",
        days_left=((today.replace(day=28) + timedelta(days=4)).replace(day=1) - today).days,
        coverage=COVERAGE,
        rows=[ProviderForecast.model_validate({"provider": provider, **_row(one)}) for provider, one in found.items()],
        total=ForecastRow.model_validate(total),
    )


def _spend(parts: Parts, today: date) -> Mapping[str, Mapping[date, Money]]:
    """By provider and day; of providers that cost anything."""
    daily: dict[str, dict[date, Money]] = defaultdict(dict)
    where = CostFilter(first=today - timedelta(days=HISTORY_DAYS), last=today)
    with read_snapshot(parts.database) as connection:
        for row in cost_rows(connection, where, ["provider", "day"]):
            if amount := row.cost + row.unknown:
                daily[row.keys["provider"]][date.fromisoformat(row.keys["day"])] = amount
    return daily


def _row(one: Forecast) -> dict[str, object]:
    row: dict[str, object] = {"spent_usd": str(one.spent), "forecast_usd": str(one.forecast), "history_days": one.history_days}
    row |= {"low_usd": None if one.low is None else str(one.low), "high_usd": None if one.high is None else str(one.high)}
    return row | {"method": one.method, "backtest": None if one.backtest is None else _backtest(one.backtest)}


def _backtest(one: Backtest) -> dict[str, object]:
    months = [
        {"month": past.month, **{f"{name}_usd": str(getattr(past, name)) for name in ("forecast", "low", "high", "actual")}}
        for past in one.months
    ]
    return {"forecasts": one.forecasts, "covered": round(one.covered, 3), "median_error": round(one.median_error, 4), "months": months}
