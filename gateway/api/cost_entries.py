"""`GET /v1/costs/entries`: the rows behind any number of a report."""

from collections.abc import Generator
from datetime import datetime
from typing import Annotated, ClassVar, Literal

from flask import Response, request
from pydantic import BaseModel, Field
from sqlalchemy.exc import OperationalError

from cost.database import read_snapshot
from cost.ledger import BadCursor, CostFilter, all_entries, cost_rows, entries_page
from cost.ledger.details import PAGE_MAX
from cost.ledger.reports import total
from gateway.api.costs import ERRORS, RowsQuery, SumsOut, rows_asked
from gateway.api.resource import Description, GatewayResource, describes, json_response, read_query
from gateway.api.streams import streamed
from gateway.cost_columns import ENTRY_KEYS, ENTRY_NUMBERS, SUMS, entry_cells, entry_out, sums_out
from gateway.errors import InvalidParameter, LedgerUnavailable
from gateway.keys import Role
from gateway.parts import Parts
from gateway.tables import csv_lines
from gateway.wire.answer import Usd


class EntriesQuery(RowsQuery):
    """Which rows, and how many at a time."""

    format: Literal["json", "csv"] = Field("json", description="json: a page; csv: every row, streamed.")
    limit: int = Field(100, ge=1, le=PAGE_MAX, description="Rows of a page.")
    cursor: str | None = Field(None, max_length=300, description="The `next` of the page before.")


class EntryOut(SumsOut):
    """One row of the ledger, with what it adds to the sums of any report."""

    day: str = Field(description="The UTC day it belongs to; a correction's may be long before `at`.")
    at: Annotated[datetime, Field(description="When it was written, in UTC.")]
    kind: Annotated[
        Literal["call", "correction", "in_house", "hit", "joined"],
        Field(
            description="call: paid. correction: booked by a reconciliation or at a tier's edge. in_house: the in-house model "
            "answered. hit, joined: nobody was asked."
        ),
    ]
    provider: str
    sku: str
    region: str
    feature: str
    client: str
    tags: Annotated[dict[str, str], Field(description="Of the request and of its key.")]
    state: Literal["", "reserved", "settled", "unknown"] = Field(
        description="Of a paid call. A released one cost nothing and is not listed."
    )
    reason: str = Field(description="Of a correction, or how a call ended.")
    units: Annotated[int, Field(description="Of the SKU, charged or not.")]
    list_price_usd: Annotated[Usd, Field(description="Of a unit, without free units and volume.")]
    request_id: str
    provider_request_id: Annotated[str, Field(description="The provider's own, where it told one.")]
    id: Annotated[str, Field(description="Of the call; its SKUs share it.")]
    line: int = Field(description="Counts the SKUs of a call.")
    price_version: Annotated[str, Field(description="Of the price sheet that it was priced by.")]


class EntriesOut(BaseModel):
    """A page, newest day first; `total` is that of all rows that meet the filter."""

    entries: Annotated[list[EntryOut], Field(description="Rows of the ledger.")]
    next: str | None = Field(None, description="The `cursor` of the following page; missing on the last.")
    total: SumsOut


class CostEntries(GatewayResource):
    """The rows."""

    roles: ClassVar[frozenset[Role]] = frozenset({"finance"})

    @describes(
        Description(
            "The rows of the ledger behind any number of a report", EntriesOut, also=("text/csv",), query=EntriesQuery, errors=ERRORS
        )
    )
    def get(self) -> Response:
        """List them."""
        asked = read_query(EntriesQuery, request.args)
        where = rows_asked(asked, self.parts)
        if asked.format == "csv":
            if asked.cursor is not None:
                raise InvalidParameter("cursor", "cursor: a CSV file is not paged; it has every row.")
            return streamed(_as_csv(self.parts, where), "text/csv", "entries.csv")
        try:
            with read_snapshot(self.parts.database) as connection:
                page = entries_page(connection, where, after=asked.cursor, limit=asked.limit)
                sums = total(cost_rows(connection, where, []))
        except BadCursor as error:
            raise InvalidParameter("cursor", f"cursor: {error}.") from error
        except OperationalError as error:
            raise LedgerUnavailable("The ledger can't be read right now.", retry_after_s=5) from error
        entries = [EntryOut.model_validate(entry_out(entry)) for entry in page.entries]
        return json_response(EntriesOut(entries=entries, next=page.next, total=SumsOut.model_validate(sums_out(sums))))


def _as_csv(parts: Parts, where: CostFilter) -> Generator[str, None, None]:
    with read_snapshot(parts.database) as connection:
        cells = (entry_cells(entry) for entry in all_entries(connection, where))
        yield from csv_lines((*ENTRY_KEYS, *SUMS), cells, ENTRY_NUMBERS)
