"""`/v1/budgets`: what may be spent by whom in each calendar window."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, ClassVar, Literal

from flask import Response, g, request
from pydantic import BaseModel, ConfigDict, Field

from cost.ledger import BadBudget, Budget, BudgetStatus
from cost.ledger.terms import Scope
from cost.money import FREE, NANOS_MAX, Money
from gateway import errors
from gateway.api.resource import Description, GatewayResource, describes, json_response, read_body
from gateway.budgets import budget_of_name, end_budget, put_budget
from gateway.errors import InvalidParameter
from gateway.keys import Role
from gateway.parts import Parts
from gateway.wire.answer import Usd
from gateway.wire.options import Dollars

_ERRORS = (errors.InvalidParameter, errors.NotFound)


class ScopeIn(BaseModel):
    """Whose calls count: everybody's where it is empty."""

    model_config = ConfigDict(extra="forbid")

    provider: Annotated[str | None, Field(description="Calls to this provider alone.")] = None
    client: Annotated[str | None, Field(description="Calls of this key's name alone.")] = None
    tag: Annotated[str | None, Field(description="Calls with this tag alone: key:value.")] = None


class BudgetIn(BaseModel):
    """A budget."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    scope: ScopeIn = ScopeIn()
    period: Annotated[Literal["day", "week", "month"], Field(description="When it starts anew.")] = "month"
    timezone: Annotated[str, Field(description="IANA name, such as Europe/Berlin: in which the period begins and ends.", max_length=64)] = (
        "UTC"
    )
    limit_usd: Annotated[Dollars, Field(description="Never exceeded: the exact price is held before a call.")]
    when_exhausted: Annotated[
        Literal["degrade", "reject"], Field(description="degrade: the in-house model answers; reject: 402 budget_exhausted")
    ] = "degrade"
    pacing: Annotated[bool, Field(description="Spread what is left over the window.")] = False
    alert_at: Annotated[list[Decimal], Field(max_length=10, description="Fractions of the limit at which to alert.")] = []


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


class BudgetsOut(BaseModel):
    """All budgets, by name."""

    budgets: list[BudgetOut]


class Budgets(GatewayResource):
    """All budgets."""

    roles: ClassVar[frozenset[Role]] = frozenset({"finance"})

    @describes(Description("Every budget and what its present window has seen", answers=BudgetsOut))
    def get(self) -> Response:
        """List them."""
        now = self.parts.ledger.now()
        multipliers = _multipliers(self.parts)
        return json_response(BudgetsOut(budgets=[budget_out(status, now, multipliers) for status in self.parts.ledger.budgets()]))


class BudgetOfName(GatewayResource):
    """One budget."""

    roles: ClassVar[frozenset[Role]] = frozenset({"finance"})

    @describes(Description("One budget and what its present window has seen", answers=BudgetOut, errors=(errors.NotFound,)))
    def get(self, name: str) -> Response:
        """Show it."""
        return json_response(self._shown(name))

    @describes(Description("Make a budget, or change it", answers=BudgetOut, body=BudgetIn, errors=_ERRORS))
    def put(self, name: str) -> Response:
        """Set it."""
        asked = read_body(BudgetIn, request)
        scope, value = _scope(asked.scope)
        budget = Budget(
            name=name,
            scope=scope,
            scope_value=value,
            period=asked.period,
            timezone=asked.timezone,
            limit=asked.limit_usd,
            when_exhausted=asked.when_exhausted,
            pacing=asked.pacing,
            alert_at=tuple(asked.alert_at),
        )
        try:
            put_budget(self.parts, budget, by=g.key.name)
        except BadBudget as error:
            parameter, problem = next(iter(error.problems.items()))
            raise InvalidParameter(parameter, f"{parameter}: {problem}.") from error
        return json_response(self._shown(name))

    @describes(Description("End a budget; what it counted stays on record", status=204, errors=(errors.NotFound,)))
    def delete(self, name: str) -> Response:
        """End it."""
        end_budget(self.parts, name, by=g.key.name)
        return Response(status=204)

    def _shown(self, name: str) -> BudgetOut:
        return budget_out(budget_of_name(self.parts, name), self.parts.ledger.now(), _multipliers(self.parts))


def _scope(asked: ScopeIn) -> tuple[Scope, str]:
    given: list[tuple[Scope, str]] = []
    if asked.provider is not None:
        given.append(("provider", asked.provider))
    if asked.client is not None:
        given.append(("client", asked.client))
    if asked.tag is not None:
        given.append(("tag", asked.tag))
    if len(given) > 1:
        raise InvalidParameter("scope", "scope: name one of provider, client and tag, or none for everybody.")
    return given[0] if given else ("global", "")


def _multipliers(parts: Parts) -> dict[str, float]:
    """Of the paced budgets, by name."""
    return {one["budget"]: one["multiplier"] for one in parts.pacing.numbers()}


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
