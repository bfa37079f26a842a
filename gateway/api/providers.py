"""`GET /v1/providers`: who can be asked, how each one does, and what it costs."""

from typing import Annotated, ClassVar, Literal

from flask import Response
from pydantic import BaseModel, ConfigDict, Field

from gateway.api.resource import Description, GatewayResource, describes, json_response
from gateway.keys import Role
from gateway.line import Line
from providers import registry
from providers.contract import FEATURES, Feature


class CircuitOut(BaseModel):
    """Whether one feature's calls pass."""

    model_config = ConfigDict(extra="forbid")

    features: Annotated[str, Field(description="The feature, or the features asked together.")]
    state: Literal["closed", "open", "half_open"]
    reason: str


class LatencyOut(BaseModel):
    """How long answers took in the last ten minutes."""

    model_config = ConfigDict(extra="forbid")

    features: str
    p50: float
    p95: float


class ProviderOut(BaseModel):
    """One provider."""

    model_config = ConfigDict(extra="forbid")

    name: str
    enabled: bool
    ready: bool
    detail: str
    features: list[Feature]
    model: str | None = None
    circuit: list[CircuitOut] = []
    latency_ms: list[LatencyOut] = []


class ProvidersOut(BaseModel):
    """Every provider that there is, the enabled ones first."""

    model_config = ConfigDict(extra="forbid")

    providers: list[ProviderOut]


class Providers(GatewayResource):
    """The providers."""

    roles: ClassVar[frozenset[Role]] = frozenset({"app", "finance"})

    @describes(Description("Every provider: enabled or not, features, health and speed", answers=ProvidersOut))
    def get(self) -> Response:
        """List them."""
        lines = self.parts.dispatcher.lines
        disabled = [name for name in registry.names() if name not in lines]
        enabled = [_provider_out(line) for line in lines.values()]
        return json_response(ProvidersOut(providers=enabled + [_disabled_out(name) for name in disabled]))


def _provider_out(line: Line) -> ProviderOut:
    health = line.provider.health()
    return ProviderOut(
        name=line.name,
        enabled=True,
        ready=health.ready,
        detail=health.detail,
        features=[feature for feature in FEATURES if feature in line.provider.features],
        model=line.provider.model,
        circuit=[
            CircuitOut(features=key.partition(":")[2], state=line.breaker.state(key), reason=line.breaker.reason(key))
            for key in line.breaker.keys(line.name)
        ],
        latency_ms=[
            LatencyOut(features=key.partition(":")[2], p50=round(p50, 1), p95=round(p95, 1))
            for key in line.latency.keys(line.name)
            if (p50 := line.latency.quantile_ms(key, 0.5)) is not None and (p95 := line.latency.quantile_ms(key, 0.95)) is not None
        ],
    )


def _disabled_out(name: str) -> ProviderOut:
    return ProviderOut(name=name, enabled=False, ready=False, detail=f"not in GATEWAY_PROVIDERS; add {name} to enable it", features=[])
