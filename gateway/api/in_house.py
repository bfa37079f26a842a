"""`GET /v1/costs/in-house`: what the in-house model's machine costs, busy and idle, and from how many pictures on it beats each cloud."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, ClassVar

from flask import Response, request
from pydantic import BaseModel, ConfigDict, Field

from cost.in_house import InHouse, break_even, machine_price
from cost.money import FREE
from gateway import errors
from gateway.api.resource import Description, GatewayResource, describes, json_response, read_query
from gateway.errors import InvalidParameter
from gateway.keys import Role
from gateway.parts import Parts
from gateway.wire.answer import Usd
from providers.contract import Feature

_OBJECTS: frozenset[Feature] = frozenset({"objects"})


class InHouseQuery(BaseModel):
    """Which days."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    first: date | None = Field(None, alias="from", description="The first UTC day; the first of this month by default.")
    last: date | None = Field(None, alias="to", description="The last UTC day, included; today by default.")


class BreakEvenOut(BaseModel):
    """One cloud beside the machine."""

    model_config = ConfigDict(extra="forbid")

    provider: Annotated[str, Field(description="The cloud.")]
    pictures_a_month: Annotated[int | None, Field(description="From here on the machine is not dearer; absent: never.")] = None
    reason: Annotated[str | None, Field(description="Why there is none.")] = None


class InHouseOut(BaseModel):
    """The machine's money. Imputed, never an invoice."""

    model_config = ConfigDict(extra="forbid")

    usd_per_hour: Annotated[str, Field(description="GATEWAY_LOCAL_MODEL_USD_PER_HOUR.")]
    hours: Annotated[float, Field(description="From the first day with an answer in the period until its end, or now.")]
    pictures: Annotated[int, Field(description="Pictures that the in-house model answered.")]
    machine_usd: Annotated[Usd, Field(description="The price of those hours.")]
    imputed_usd: Annotated[Usd, Field(description="Of that, while it worked on pictures.")]
    idle_usd: Annotated[Usd, Field(description="The rest: nobody asked.")]
    idle_share: Annotated[float, Field(description="idle_usd over machine_usd, in [0, 1].", ge=0, le=1)]
    usd_per_picture: Annotated[Usd | None, Field(description="The machine's price over the pictures served.")] = None
    usd_per_picture_busy: Annotated[Usd | None, Field(description="The same on a machine that never waits.")] = None
    pictures_max: Annotated[int | None, Field(description="What it could have served in these hours.")] = None
    break_even: Annotated[list[BreakEvenOut], Field(description="Each enabled cloud beside the machine.")]


class InHouseCosts(GatewayResource):
    """The machine beside the clouds."""

    roles: ClassVar[frozenset[Role]] = frozenset({"finance"})

    @describes(
        Description(
            "What an in-house picture costs, idle hours shown, and where that beats each cloud",
            InHouseOut,
            query=InHouseQuery,
            errors=(errors.InvalidParameter,),
        )
    )
    def get(self) -> Response:
        """Work it out."""
        asked = read_query(InHouseQuery, request.args)
        today = self.parts.ledger.now().date()
        first, last = asked.first or today.replace(day=1), asked.last or today
        if last < first:
            raise InvalidParameter("to", f"to: {last} is before from, {first}.")
        return json_response(in_house_out(self.parts, first, last))


def in_house_out(parts: Parts, first: date, last: date) -> InHouseOut:
    """The report over the UTC days `first` to `last`, both included. For the resource and for pages."""
    lines = list(parts.dispatcher.lines.values())
    usd_per_hour = lines[0].meter.usd_per_hour
    seconds, seen = _seen(parts, usd_per_hour, {line.name for line in lines if not line.paid}, first, last)
    clouds = []
    for line in lines:
        sheet = parts.prices.get(line.name)
        if sheet is not None and line.paid and line.provider.features >= _OBJECTS:
            usage = {usage.sku: usage.units for call in line.provider.calls(_OBJECTS) for usage in call.usage}
            clouds.append(break_even(usd_per_hour, sheet, usage, sheet.day_of(parts.ledger.now())))
    return InHouseOut(
        usd_per_hour=f"{usd_per_hour:f}",
        hours=round(seconds / 3600, 2),
        pictures=seen.pictures,
        machine_usd=str(seen.machine),
        imputed_usd=str(seen.imputed),
        idle_usd=str(seen.idle),
        idle_share=float(seen.idle_share),
        usd_per_picture=None if seen.picture is None else str(seen.picture),
        usd_per_picture_busy=None if seen.busy_picture is None else str(seen.busy_picture),
        pictures_max=seen.pictures_max,
        break_even=[
            BreakEvenOut(provider=one.provider, pictures_a_month=one.pictures_a_month, reason=one.reason or None) for one in clouds
        ],
    )


def _seen(parts: Parts, usd_per_hour: Decimal, in_house: set[str], first: date, last: date) -> tuple[int, InHouse]:
    """How many seconds the machine has run in these days, and what for. Before its first answer nobody knows that there was one."""
    rows = parts.ledger.costs(first, last, ("day", "provider"))
    answered = [row for row in rows if row.keys["provider"] in in_house and row.calls]
    if not answered:
        return 0, InHouse(FREE, FREE, 0)
    starts = datetime.combine(date.fromisoformat(min(row.keys["day"] for row in answered)), time(), UTC)
    now = parts.ledger.now()
    ends = now if last >= now.date() else datetime.combine(last + timedelta(days=1), time(), UTC)
    seconds = max(int((ends - starts).total_seconds()), 0)
    imputed = sum((row.imputed for row in answered), FREE)
    return seconds, InHouse(machine_price(usd_per_hour, seconds * 1_000_000), imputed, sum(row.calls for row in answered))
