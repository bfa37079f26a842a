"""`/v1/budgets`: what may be spent by whom in each calendar window."""

from decimal import Decimal
from typing import Annotated, ClassVar, Literal

from flask import Response, g, request
from pydantic import BaseModel, ConfigDict, Field

from cost.ledger import BadBudget, Budget
from cost.ledger.terms import Scope
from gateway import errors
from gateway.api.resource import Description, GatewayResource, describes, json_response, read_body
from gateway.budgets import budget_of_name, end_budget, put_budget
from gateway.errors import InvalidParameter
from gateway.keys import Role
from gateway.parts import Parts
from gateway.wire.budgets import BudgetOut, budget_out
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
