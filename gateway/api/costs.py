"""`GET /v1/costs`: what was spent, and apart from it what is held, unknown, imputed and avoided."""

from datetime import date
from typing import Annotated, ClassVar, Literal

from flask import Response, request
from pydantic import BaseModel, ConfigDict, Field

from cost.ledger import BadReport, CostRow
from cost.ledger.reports import total
from gateway import errors
from gateway.api.resource import Description, GatewayResource, describes, json_response, read_query
from gateway.errors import InvalidParameter
from gateway.keys import Role
from gateway.tables import csv_lines
from gateway.wire.answer import Usd

_AMOUNTS = ("cost_usd", "reserved_usd", "unknown_usd", "imputed_usd", "avoided_usd")


class CostsQuery(BaseModel):
    """What to report."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    first: date | None = Field(None, alias="from", description="The first UTC day; the first of this month by default.")
    last: date | None = Field(None, alias="to", description="The last UTC day, included; today by default.")
    group_by: str = Field("provider", description="Comma list of provider, day, sku, feature, client and one tag:NAME.", max_length=300)
    format: Literal["json", "csv"] = "json"


class CostRowOut(BaseModel):
    """One group's sums. The group's own keys stand beside them."""

    model_config = ConfigDict(extra="allow")

    calls: int
    billed_units: int
    cost_usd: Annotated[Usd, Field(description="Settled, with corrections.")]
    reserved_usd: Usd
    unknown_usd: Annotated[Usd, Field(description="May have been billed; counts as spent until reconciled.")]
    imputed_usd: Annotated[Usd, Field(description="What in-house answers cost; no invoice.")]
    avoided_usd: Annotated[Usd, Field(description="What cache and in-house answers saved.")]


class CostsOut(BaseModel):
    """A report."""

    rows: list[CostRowOut]
    total: CostRowOut


class Costs(GatewayResource):
    """The report."""

    roles: ClassVar[frozenset[Role]] = frozenset({"finance"})

    @describes(
        Description(
            "What was spent, by day, provider, SKU, feature, client or tag", CostsOut, query=CostsQuery, errors=(errors.InvalidParameter,)
        )
    )
    def get(self) -> Response:
        """Add it up."""
        asked = read_query(CostsQuery, request.args)
        today = self.parts.ledger.now().date()
        first, last = asked.first or today.replace(day=1), asked.last or today
        if last < first:
            raise InvalidParameter("to", f"to: {last} is before {first}.")
        words = tuple(word.strip() for word in asked.group_by.split(",") if word.strip())
        try:
            rows = self.parts.ledger.costs(first, last, words)
        except BadReport as error:
            raise InvalidParameter("group_by", f"group_by: {error}.") from error
        if asked.format == "csv":
            return _csv(words, rows)
        return json_response(CostsOut(rows=[_row(row) for row in rows], total=_row(total(rows))))


def _row(row: CostRow) -> CostRowOut:
    return CostRowOut(**row.keys, **_sums(row))


def _sums(row: CostRow) -> dict[str, object]:
    amounts = zip(_AMOUNTS, (row.cost, row.reserved, row.unknown, row.imputed, row.avoided), strict=True)
    return {"calls": row.calls, "billed_units": row.billed_units, **{name: str(money) for name, money in amounts}}


def _csv(words: tuple[str, ...], rows: list[CostRow]) -> Response:
    header = (*words, "calls", "billed_units", *_AMOUNTS)
    cells = ([*(row.keys[word] for word in words), *_sums(row).values()] for row in rows)
    headers = {"Content-Disposition": 'attachment; filename="costs.csv"'}
    return Response(csv_lines(header, cells, frozenset(header) - set(words)), 200, headers, mimetype="text/csv")
