"""`/budgets`: what may be spent, how far it is, and the forms that set it."""

from typing import ClassVar
from urllib.parse import quote

from flask import Response, g, request

from cost.ledger import BudgetStatus
from gateway.budgets import budget_of_name, end_budget, put_budget
from gateway.keys import Role
from gateway.web.budget_form import EMPTY, read_form, typed_of
from gateway.web.budget_view import changes_in_words, drawing_of, view_of
from gateway.web.page import Page, see
from providers import registry

_FINANCE: frozenset[Role] = frozenset({"finance"})
_DONE = {
    "made": "The budget is in force.",
    "changed": "The change is in force.",
    "ended": "The budget has ended. What it counted stays on record.",
}


class BudgetsPage(Page):
    """All budgets, and the form that makes one."""

    roles: ClassVar[frozenset[Role]] = _FINANCE
    title: ClassVar[str] = "Budgets"
    word: ClassVar[str] = "Budgets"

    def get(self) -> Response:
        """Show them."""
        return self._shown(EMPTY, {})

    def post(self) -> Response:
        """Make one."""
        typed, budget, problems = read_form(request.form)
        if budget and any(status.budget.name == budget.name for status in self.parts.ledger.budgets()):
            budget, problems = None, {"name": "there is a budget of this name; open it to change it"}
        if budget is None:
            return self._shown(typed, problems)
        put_budget(self.parts, budget, by=g.key.name)
        return _see(budget.name, "made")

    def _shown(self, typed: dict[str, str], problems: dict[str, str]) -> Response:
        ledger = self.parts.ledger
        budgets = [view_of(status, ledger.now()) for status in ledger.budgets()]
        return self.page(
            "budgets.html",
            422 if problems else 200,
            budgets=budgets,
            typed=typed,
            problems=problems,
            providers=registry.names(),
            done=_DONE.get(request.args.get("done", "")),
        )


class BudgetPage(Page):
    """One budget: its burn-down, its alerts, its history, and the form that changes it."""

    roles: ClassVar[frozenset[Role]] = _FINANCE
    title: ClassVar[str] = "Budget"

    def get(self, name: str) -> Response:
        """Show it."""
        status = budget_of_name(self.parts, name)
        return self._shown(status, typed_of(status.budget), {})

    def post(self, name: str) -> Response:
        """Change it."""
        status = budget_of_name(self.parts, name)
        typed, budget, problems = read_form(request.form.to_dict() | {"name": name})
        if budget is None:
            return self._shown(status, typed, problems)
        put_budget(self.parts, budget, by=g.key.name)
        return _see(name, "changed")

    def _shown(self, status: BudgetStatus, typed: dict[str, str], problems: dict[str, str]) -> Response:
        ledger, name = self.parts.ledger, status.budget.name
        with self.parts.database.connect() as connection:
            drawing = drawing_of(connection, status, ledger.now())
        return self.page(
            "budget.html",
            422 if problems else 200,
            budget=view_of(status, ledger.now()),
            drawing=drawing,
            changes=changes_in_words(ledger.budget_changes(name)),
            alerts=ledger.budget_alerts(name),
            typed=typed,
            problems=problems,
            providers=registry.names(),
            done=_DONE.get(request.args.get("done", "")),
        )


class BudgetEnd(Page):
    """Where a budget ends."""

    roles: ClassVar[frozenset[Role]] = _FINANCE
    title: ClassVar[str] = "End a budget"

    def post(self, name: str) -> Response:
        """End it."""
        end_budget(self.parts, name, by=g.key.name)
        return _see("", "ended")


def _see(name: str, done: str) -> Response:
    return see(f"/budgets{'/' if name else ''}{quote(name)}?done={done}")
