"""`/healthz`: this process lives. `/readyz`: whether it can answer, and what each thing it leans on says."""

from typing import Annotated, ClassVar, Literal

import sqlalchemy as sa
from flask import Response
from pydantic import BaseModel, ConfigDict, Field

from gateway.api.resource import OPEN, Description, GatewayResource, describes, json_response
from gateway.keys import Role
from gateway.reads import ReadTimedOut


class LivenessOut(BaseModel):
    """Alive."""

    status: Annotated[Literal["ok"], Field(description="Always ok: otherwise there is no answer.")]


class DependencyOut(BaseModel):
    """One thing the gateway leans on."""

    model_config = ConfigDict(extra="forbid")

    ready: Annotated[bool, Field(description="Whether it works now.")]
    detail: Annotated[str, Field(description="Why not; empty where it does.")]


class ReadinessOut(BaseModel):
    """Whether a picture would be answered now."""

    model_config = ConfigDict(extra="forbid")

    status: Annotated[Literal["ready", "degraded", "not_ready"], Field(description="degraded: answers, but something is away.")]
    dependencies: Annotated[dict[str, DependencyOut], Field(description="By name: database, ledger, cache and each enabled provider.")]


class Liveness(GatewayResource):
    """Whether the process lives."""

    roles: ClassVar[frozenset[Role]] = OPEN

    @describes(Description("Whether this process lives", answers=LivenessOut))
    def get(self) -> Response:
        """Say so."""
        return json_response(LivenessOut(status="ok"))


class Readiness(GatewayResource):
    """Whether it can answer."""

    roles: ClassVar[frozenset[Role]] = OPEN

    @describes(Description("Whether a picture would be answered now; the state of each dependency", ReadinessOut, unready=ReadinessOut))
    def get(self) -> Response:
        """Ask each dependency."""
        providers = {name: line.provider.health() for name, line in self.parts.dispatcher.lines.items()}
        dependencies = {"database": self._database(), "ledger": self._ledger()}
        dependencies |= {name: DependencyOut(ready=health.ready, detail=health.detail) for name, health in providers.items()}
        if (sharing := self.parts.dispatcher.sharing) is not None:
            away = sharing.results.store.problem()
            dependencies["cache"] = DependencyOut(ready=away is None, detail=away or "")
        can_answer = any(health.ready for health in providers.values())
        all_well = all(dependency.ready for dependency in dependencies.values())
        status: Literal["ready", "degraded", "not_ready"] = "ready" if all_well else "degraded" if can_answer else "not_ready"
        return json_response(ReadinessOut(status=status, dependencies=dependencies), 200 if can_answer else 503)

    def _ledger(self) -> DependencyOut:
        problem, doubt = self.parts.ledger.problem, self.parts.ledger.clock_doubt
        hint = f"{doubt}; if it is right, run `vision-gateway ledger confirm-clock`" if doubt else ""
        return DependencyOut(ready=problem is None, detail=problem or hint)

    def _database(self) -> DependencyOut:
        try:
            self.parts.reads.read(self._select_one)
        except (sa.exc.SQLAlchemyError, ReadTimedOut) as error:
            return DependencyOut(ready=False, detail=type(error.__cause__ or error).__name__)  # its text may hold an address or a password
        return DependencyOut(ready=True, detail="")

    def _select_one(self) -> None:
        with self.parts.database.connect() as connection:
            connection.execute(sa.text("SELECT 1"))
