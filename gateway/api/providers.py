"""`GET /v1/providers`: who can be asked, how each one does, and what it costs."""

from datetime import date
from typing import Annotated, ClassVar, Literal

from flask import Response
from pydantic import BaseModel, ConfigDict, Field

from cost.price_sheets import NotRoutable, Position, position
from gateway.api.resource import Description, GatewayResource, describes, json_response
from gateway.keys import Role
from gateway.line import Line
from gateway.wire.answer import Usd
from providers import registry
from providers.contract import FEATURES, Feature, Usage


class CircuitOut(BaseModel):
    """Whether one feature's calls pass."""

    model_config = ConfigDict(extra="forbid")

    feature: str
    state: Annotated[
        Literal["closed", "open", "half_open"],
        Field(description="closed: asked. open: left alone after failures. half_open: asked once, to see."),
    ]
    reason: Annotated[
        str, Field(description="Why it is not closed, or why others are asked first: it has said that it was asked too often.")
    ]


class LatencyOut(BaseModel):
    """How long answers took in the last ten minutes."""

    model_config = ConfigDict(extra="forbid")

    feature: str
    p50: Annotated[float, Field(description="The median, in milliseconds.")]
    p95: Annotated[float, Field(description="95 % came within this time, in milliseconds.")]


class PriceOut(BaseModel):
    """What the next unit of a SKU costs now."""

    model_config = ConfigDict(extra="forbid")

    sku: str
    usd: Annotated[Usd, Field(description="The marginal price of one unit at this month's units.")]
    free_units_left: Annotated[int, Field(description="This month.")]
    units_left_at_price: Annotated[int | None, Field(description="Until the next tier; absent: no end.")] = None
    source: Annotated[str, Field(description="The page that the price was read on.")]
    read_on: Annotated[date, Field(description="When.")]
    confirmed: Annotated[bool, Field(description="Whether the source states the figure.")]


class ProviderOut(BaseModel):
    """One provider."""

    model_config = ConfigDict(extra="forbid")

    name: str
    enabled: Annotated[bool, Field(description="Whether GATEWAY_PROVIDERS names it.")]
    ready: Annotated[bool, Field(description="Whether it could answer now.")]
    detail: Annotated[str, Field(description="Why not; empty where it could.")]
    features: Annotated[list[Feature], Field(description="What it can be asked for.")]
    model: Annotated[str | None, Field(description="Its model and version, where it is known before an answer.")] = None
    prices: Annotated[list[PriceOut], Field(description="What the next unit of each SKU costs.")] = []
    circuit: Annotated[list[CircuitOut], Field(description="Whether its calls pass, by feature.")] = []
    latency_ms: Annotated[list[LatencyOut], Field(description="How long its answers took, by feature.")] = []


class ProvidersOut(BaseModel):
    """Every provider that there is, the enabled ones first."""

    model_config = ConfigDict(extra="forbid")

    providers: Annotated[list[ProviderOut], Field(description="All that there are.")]


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
    prices, no_price = _prices_out(line)
    return ProviderOut(
        name=line.name,
        enabled=True,
        ready=health.ready,
        detail=health.detail or no_price,
        features=[feature for feature in FEATURES if feature in line.provider.features],
        model=line.provider.model,
        prices=prices,
        circuit=[
            CircuitOut(
                feature=feature, state=line.breaker.state(key), reason=line.breaker.reason(key) or line.throttled(frozenset({feature}))
            )
            for feature, key in ((feature, line.key(feature)) for feature in FEATURES if feature in line.provider.features)
        ],
        latency_ms=[
            LatencyOut(feature=key.partition(":")[2], p50=round(p50, 1), p95=round(p95, 1))
            for key in line.latency.keys(line.name)
            if (p50 := line.latency.quantile_ms(key, 0.5)) is not None and (p95 := line.latency.quantile_ms(key, 0.95)) is not None
        ],
    )


def _prices_out(line: Line) -> tuple[list[PriceOut], str]:
    """The price of each SKU now; and why one has none, which leaves the provider out of every route that needs it."""
    ledger, sheet = line.meter.ledger, line.meter.prices.get(line.name)
    if sheet is None:
        return [], "no price sheet"
    skus = dict.fromkeys(usage.sku for feature in FEATURES if feature in line.provider.features for usage in _usage(line, feature))
    month_to_date, today = ledger.month_to_date_units(line.name), sheet.day_of(ledger.now())
    positions = [position(sheet, sku, month_to_date, today) for sku in skus]
    shown = [
        PriceOut(
            sku=one.sku,
            usd=str(one.unit_price),
            free_units_left=one.free_units_left,
            units_left_at_price=one.units_left_at_price,
            source=one.source,
            read_on=one.read_on,
            confirmed=one.confirmed,
        )
        for one in positions
        if isinstance(one, Position)
    ]
    return shown, "; ".join(one.reason for one in positions if isinstance(one, NotRoutable))


def _usage(line: Line, feature: Feature) -> tuple[Usage, ...]:
    return tuple(usage for call in line.provider.calls(frozenset({feature})) for usage in call.usage)


def _disabled_out(name: str) -> ProviderOut:
    return ProviderOut(name=name, enabled=False, ready=False, detail=f"not in GATEWAY_PROVIDERS; add {name} to enable it", features=[])
