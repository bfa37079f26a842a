"""`/costs`: what was spent, by whom and for what, what was avoided; and the rows and files behind every number."""

from typing import ClassVar

from flask import Response, request
from pydantic import Field

from cost.database import read_snapshot
from cost.ledger import BadCursor, CostFilter, cost_rows, entries_page
from cost.ledger.details import Only
from cost.ledger.reports import tag_names, total
from gateway.api.cost_entries import CostEntries
from gateway.api.costs import Costs, RowsQuery, rows_asked
from gateway.api.forecast import forecast
from gateway.api.in_house import in_house_out
from gateway.api.resource import read_query
from gateway.errors import InvalidParameter
from gateway.keys import Role
from gateway.web.addresses import View
from gateway.web.cost_tables import ROWS_PAGE, daily, per_1000, sum_of, table, unit_costs
from gateway.web.page import Page
from gateway.web.price_table import price_rows

_FINANCE: frozenset[Role] = frozenset({"finance"})
_ROWS_AT_A_TIME = 50


class CostsPageQuery(RowsQuery):
    """Which rows, and by which tag."""

    by_tag: str | None = Field(None, max_length=64)


class RowsPageQuery(RowsQuery):
    """Which rows, and from where on."""

    cursor: str | None = Field(None, max_length=300)
    only: Only | None = None


class CostsPage(Page):
    """The report."""

    roles: ClassVar[frozenset[Role]] = _FINANCE
    title: ClassVar[str] = "Costs"
    word: ClassVar[str] = "Costs"

    def get(self) -> Response:
        """Show it."""
        asked = read_query(CostsPageQuery, request.args)
        where, today = rows_asked(asked, self.parts), self.parts.ledger.now().date()
        with read_snapshot(self.parts.database) as connection:
            by_day = daily(connection, where)
            providers, clients = table(connection, where, "provider"), table(connection, where, "client")
            units = unit_costs(connection, where, self.parts.prices, today)
            tags = tag_names(connection, where)
            tag = asked.by_tag if asked.by_tag in tags else next(iter(tags), None)
            by_tag = table(connection, where, f"tag:{tag}") if tag is not None else None
        return self.page(
            "costs.html",
            view=View("/costs", where, today, {} if tag is None else {"by_tag": tag}),
            month=View("/costs", CostFilter(first=today.replace(day=1), last=today), today),
            daily=by_day,
            total=sum_of(providers.rows),
            providers=providers,
            clients=clients,
            units=units,
            tags=tags,
            tag=tag,
            by_tag=by_tag,
            in_house=in_house_out(self.parts, where.first, min(where.last, today)),
            forecast=forecast(self.parts),
            prices=price_rows(self.parts),
        )


class CostRowsPage(Page):
    """The rows of the ledger behind a number."""

    roles: ClassVar[frozenset[Role]] = _FINANCE
    title: ClassVar[str] = "Rows"

    def get(self) -> Response:
        """Show some, newest first.

        Raises:
            InvalidParameter: a cursor that is none.
        """
        asked = read_query(RowsPageQuery, request.args)
        where = rows_asked(asked, self.parts)
        try:
            with read_snapshot(self.parts.database) as connection:
                shown = entries_page(connection, where, after=asked.cursor, limit=_ROWS_AT_A_TIME, only=asked.only)
                sums = total(cost_rows(connection, where, ()))
        except BadCursor as error:
            raise InvalidParameter("cursor", f"cursor: {error}.") from error
        return self.page(
            "cost_rows.html",
            view=View(ROWS_PAGE, where, self.parts.ledger.now().date(), {} if asked.only is None else {"only": asked.only}),
            only=asked.only,
            entries=shown.entries,
            next=shown.next,
            first_page=asked.cursor is None,
            total=sums,
            per_1000=per_1000(sums),
        )


class CostsFile(Page):
    """The report as a file: what `GET /v1/costs` answers, for who is logged in."""

    roles: ClassVar[frozenset[Role]] = _FINANCE
    title: ClassVar[str] = "Report"

    def get(self) -> Response:
        """Send it."""
        return Costs(self.parts).get()


class CostRowsFile(Page):
    """The rows as a file: what `GET /v1/costs/entries` answers, for who is logged in."""

    roles: ClassVar[frozenset[Role]] = _FINANCE
    title: ClassVar[str] = "Rows"

    def get(self) -> Response:
        """Send it."""
        return CostEntries(self.parts).get()
