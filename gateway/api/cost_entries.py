"""`GET /v1/costs/entries`: the rows behind any number of a report."""

from collections.abc import Generator
from datetime import datetime
from typing import ClassVar, Literal

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
    at: datetime
    kind: Literal["call", "correction", "in_house", "hit", "joined"]
    provider: str
    sku: str
    region: str
    feature: str
    client: str
    tags: dict[str, str]
    state: Literal["", "reserved", "settled", "unknown"] = Field(
        description="Of a paid call. A released one cost nothing and is not listed."
    )
    reason: str = Field(description="Of a correction, or how a call ended.")
    units: int
    list_price_usd: Usd
    request_id: str
    provider_request_id: str
    id: str
    line: int = Field(description="Counts the SKUs of a call.")
    price_version: str


class EntriesOut(BaseModel):
    """A page, newest day first; `total` is that of all rows that meet the filter."""

    entries: list[EntryOut]
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
