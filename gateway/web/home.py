"""`/`: tells each person who comes here where to go."""

from typing import ClassVar

from flask import Response, g, jsonify, request

from cost.ledger.reports import total
from gateway.api.forecast import forecast
from gateway.api.resource import OPEN
from gateway.keys import Role
from gateway.web.budget_view import view_of
from gateway.web.page import Page

_SEES_MONEY = frozenset({"finance", "admin"})


class Home(Page):
    """The first page."""

    roles: ClassVar[frozenset[Role]] = OPEN
    title: ClassVar[str] = "vision-gateway"
    word: ClassVar[str] = "Start"

    def get(self) -> Response:
        """Show it; to a program that asks for JSON, say where the API is."""
        if request.accept_mimetypes.best_match(["text/html", "application/json"], "text/html") == "application/json":
            return jsonify({"name": "vision-gateway", "api": "/v1", "openapi": "/openapi.json", "docs": "/docs/"})
        money = self._money() if "key" in g and g.key.role in _SEES_MONEY else None
        return self.page("home.html", money=money, address=request.host_url.rstrip("/"))

    def _money(self) -> dict[str, object]:
        ledger = self.parts.ledger
        today = ledger.now().date()
        month = total(ledger.costs(today.replace(day=1), today, ["provider"]))
        budgets = [view_of(status, ledger.now()) for status in ledger.budgets()]
        at_risk = [one for one in budgets if one.state != "calm"]
        return {"month": month, "forecast": forecast(self.parts).total, "budgets": len(budgets), "at_risk": at_risk}
