"""`GET /v1/costs`: what was spent, and apart from it what is held, unknown, imputed and avoided."""

import json
from collections.abc import Generator
from datetime import date
from typing import Annotated, ClassVar, Literal

from flask import Response, request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from cost import focus
from cost.database import read_snapshot
from cost.ledger import BadReport, CostFilter, CostSums, all_entries, cost_rows
from cost.ledger.filters import check_groups
from cost.parquet import parquet_pieces
from gateway import errors
from gateway.api.resource import Description, GatewayResource, describes, read_query
from gateway.api.streams import streamed
from gateway.cost_columns import SUMS, sums_out
from gateway.errors import InvalidParameter
from gateway.keys import Role
from gateway.parts import Parts
from gateway.tables import csv_lines
from gateway.wire.answer import Usd
from gateway.wire.mistakes import spelt

PARQUET = "application/vnd.apache.parquet"
ERRORS = (errors.InvalidParameter, errors.LedgerUnavailable, errors.Overloaded)

_NO_ZERO = r"^[^\x00]*$"
_Value = Annotated[str, spelt(_NO_ZERO, "write it without the character zero"), StringConstraints(max_length=300, pattern=_NO_ZERO)]


class RowsQuery(BaseModel):
    """Which rows of the ledger."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    first: date | None = Field(None, alias="from", description="The first UTC day; the first of this month by default.")
    last: date | None = Field(None, alias="to", description="The last UTC day, included; today by default.")
    provider: _Value | None = Field(None, description="Of this provider alone.")
    sku: _Value | None = Field(None, description="Of this SKU alone.")
    feature: _Value | None = Field(None, description="Of this `feature` alone, as a report's row names it: objects, or labels,objects.")
    client: _Value | None = Field(None, description="Of this client alone.")
    tag: _Value | None = Field(None, description="Comma list of NAME:VALUE, which must all be met; NAME: is for what has no such tag.")


class CostsQuery(RowsQuery):
    """What to report."""

    group_by: str = Field("provider", description="Comma list of provider, day, sku, feature, client and tag:NAME.", max_length=2_000)
    format: Literal["json", "csv", "focus", "focus_parquet"] = Field(
        "json", description="focus: every charge as FOCUS 1.2, in CSV; focus_parquet: in Parquet. Both know no groups."
    )


class SumsOut(BaseModel):
    """Sums over rows of the ledger."""

    calls: Annotated[int, Field(description="Paid attempts and in-house answers; by SKU, a call with two SKUs counts for both.")]
    billed_units: Annotated[int, Field(description="Units that were charged: one picture and one feature each, as the provider counts.")]
    cost_usd: Annotated[Usd, Field(description="Settled, with corrections: the spend.")]
    reserved_usd: Annotated[Usd, Field(description="Held for calls that run.")]
    unknown_usd: Annotated[Usd, Field(description="May have been billed; counts as spent until reconciled.")]
    imputed_usd: Annotated[Usd, Field(description="What in-house answers cost; no invoice.")]
    avoided_usd: Annotated[Usd, Field(description="What answers that nobody billed would have cost: the three below.")]
    avoided_cache_usd: Annotated[Usd, Field(description="Answers that were kept.")]
    avoided_joined_usd: Annotated[Usd, Field(description="Requests that waited for an identical one.")]
    avoided_in_house_usd: Annotated[
        Usd, Field(description="Answers of the in-house model, at the price of the first cloud that routing would have asked.")
    ]


class CostRowOut(SumsOut):
    """One group's sums. The group's own keys stand beside them, by the words of `group_by`."""

    model_config = ConfigDict(extra="allow")


class CostsOut(BaseModel):
    """A report: streamed, whatever its length, from one moment of the ledger."""

    rows: Annotated[list[CostRowOut], Field(description="A row for each group.")]
    total: SumsOut


class Costs(GatewayResource):
    """The report."""

    roles: ClassVar[frozenset[Role]] = frozenset({"finance"})

    @describes(
        Description(
            "What was spent, by day, provider, SKU, feature, client and tags",
            CostsOut,
            also=("text/csv", PARQUET),
            query=CostsQuery,
            errors=ERRORS,
        )
    )
    def get(self) -> Response:
        """Add it up."""
        asked = read_query(CostsQuery, request.args)
        where = rows_asked(asked, self.parts)
        words = tuple(word.strip() for word in asked.group_by.split(",") if word.strip())
        try:
            check_groups(words)
        except BadReport as error:
            raise InvalidParameter("group_by", f"group_by: {error}.") from error
        if asked.format == "focus":
            return streamed(_as_focus(self.parts, where), "text/csv", f"focus-{where.first}-{where.last}.csv")
        if asked.format == "focus_parquet":
            return streamed(_as_parquet(self.parts, where), PARQUET, f"focus-{where.first}-{where.last}.parquet")
        if asked.format == "csv":
            return streamed(_as_csv(self.parts, where, words), "text/csv", "costs.csv")
        return streamed(_as_json(self.parts, where, words), "application/json")


def rows_asked(asked: RowsQuery, parts: Parts) -> CostFilter:
    """The filter that a query means.

    Raises:
        InvalidParameter: days in the wrong order, or a tag that is none.
    """
    today = parts.ledger.now().date()
    first, last = asked.first or today.replace(day=1), asked.last or today
    if last < first:
        raise InvalidParameter("to", f"to: {last} is before from, {first}.")
    tags = {}
    for text in filter(None, (asked.tag or "").split(",")):
        name, colon, value = text.partition(":")
        if not name or not colon or name in tags:
            raise InvalidParameter("tag", f"tag: {text!r} is not NAME:VALUE, or names a tag twice.")
        tags[name] = value
    return CostFilter(first=first, last=last, provider=asked.provider, sku=asked.sku, feature=asked.feature, client=asked.client, tags=tags)


def _as_json(parts: Parts, where: CostFilter, words: tuple[str, ...]) -> Generator[str, None, None]:
    total = CostSums()
    with read_snapshot(parts.database) as connection:
        yield '{"rows":['
        for number, row in enumerate(cost_rows(connection, where, words)):
            total = total.plus(row)
            yield f"{',' if number else ''}{json.dumps(row.keys | sums_out(row), ensure_ascii=False)}"
    yield f'],"total":{json.dumps(sums_out(total))}}}'


def _as_csv(parts: Parts, where: CostFilter, words: tuple[str, ...]) -> Generator[str, None, None]:
    with read_snapshot(parts.database) as connection:
        cells = ([*row.keys.values(), *sums_out(row).values()] for row in cost_rows(connection, where, words))
        yield from csv_lines((*words, *SUMS), cells, frozenset(SUMS))


def _as_focus(parts: Parts, where: CostFilter) -> Generator[str, None, None]:
    with read_snapshot(parts.database) as connection:
        rows = focus.focus_rows(all_entries(connection, where), parts.prices)
        yield from csv_lines(focus.COLUMNS, (list(row.values()) for row in rows), focus.NUMBERS)


def _as_parquet(parts: Parts, where: CostFilter) -> Generator[bytes, None, None]:
    with read_snapshot(parts.database) as connection:
        yield from parquet_pieces(focus.focus_rows(all_entries(connection, where), parts.prices))
