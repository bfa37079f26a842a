"""Budgets as JSON."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from cost.ledger import BudgetStatus
from cost.money import FREE, NANOS_MAX, Money
from gateway.wire.answer import Usd


class WindowOut(BaseModel):
    """Half-open: starts_at <= instant < ends_at."""

    starts_at: Annotated[datetime, Field(description="The first instant that counts.")]
    ends_at: Annotated[datetime, Field(description="The first that does not.")]


class BudgetOut(BaseModel):
    """A budget and what its present window has seen."""

    name: str
    scope: Annotated[dict[str, str], Field(description="Whose calls count: provider, client or tag; everybody's where it is empty.")]
    period: Annotated[str, Field(description="day, week, month; lifetime for an experiment's.")]
    timezone: Annotated[str, Field(description="In which the period begins and ends.")]
    limit_usd: Annotated[Usd, Field(description="Never exceeded.")]
    when_exhausted: Annotated[str, Field(description="degrade: the in-house model answers; reject: 402 budget_exhausted.")]
    pacing: Annotated[bool, Field(description="Whether what is left is spread over the window.")]
    multiplier: Annotated[float | None, Field(description="Quality that a dollar must bring now, where the budget is paced.")] = None
    alert_at: Annotated[list[float], Field(description="Fractions of the limit at which an alert is sent.")]
    window: WindowOut
    settled_usd: Annotated[Usd, Field(description="Billed in this window, with corrections.")]
    reserved_usd: Annotated[Usd, Field(description="Held for calls that run.")]
    unknown_usd: Annotated[Usd, Field(description="May have been billed; counts as spent until reconciled.")]
    remaining_usd: Annotated[Usd, Field(description="The limit less the three above: what may still be spent.")]
    forecast_usd: Annotated[Usd, Field(description="At the window's end, if the rest goes as it went so far.")]


def budget_out(status: BudgetStatus, now: datetime, multipliers: Mapping[str, float]) -> BudgetOut:
    """A budget as it is told; `multipliers` of the paced ones, by name, as far as they are known here."""
    budget, window = status.budget, status.window
    return BudgetOut(
        name=budget.name,
        scope={} if budget.scope == "global" else {budget.scope: budget.scope_value},
        period=budget.period,
        timezone=budget.timezone,
        limit_usd=str(budget.limit),
        when_exhausted=budget.when_exhausted,
        pacing=budget.pacing,
        multiplier=multipliers.get(budget.name),
        alert_at=[float(fraction) for fraction in budget.alert_at],
        window=WindowOut(starts_at=window.starts_at, ends_at=window.ends_at),
        settled_usd=str(status.settled),
        reserved_usd=str(status.reserved),
        unknown_usd=str(status.unknown),
        remaining_usd=str(status.remaining),
        forecast_usd=str(forecast(status, now)),
    )


def forecast(status: BudgetStatus, now: datetime) -> Money:
    """What was committed so far, stretched to the whole window; whole nano-dollars, rounded down. A lifetime has no pace."""
    window = status.window
    elapsed_s = int((now - window.starts_at).total_seconds())
    if elapsed_s < 1 or status.committed == FREE or status.budget.period == "lifetime":
        return status.committed
    return Money(min(status.committed.nanos * int((window.ends_at - window.starts_at).total_seconds()) // elapsed_s, NANOS_MAX))
