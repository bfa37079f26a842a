"""Budgets as the API and the pages find, set and end them: in force at once, and a ledger that is away told in our own words."""

from cost.ledger import Budget, BudgetStatus
from cost.ledger import LedgerUnavailable as Unavailable
from gateway.errors import LedgerUnavailable, NotFound
from gateway.parts import Parts


def budget_of_name(parts: Parts, name: str) -> BudgetStatus:
    """The budget in force under this name.

    Raises:
        NotFound: there is none.
    """
    for status in parts.ledger.budgets():
        if status.budget.name == name:
            return status
    raise NotFound(f"There is no budget {name!r}; GET /v1/budgets lists them.")


def put_budget(parts: Parts, budget: Budget, by: str) -> None:
    """Make a budget or change it; `by` is who asks for it.

    Raises:
        cost.ledger.BadBudget: with every problem.
        LedgerUnavailable: nothing is changed.
    """
    try:
        parts.ledger.put_budget(budget, by=by)
    except Unavailable as error:
        raise LedgerUnavailable(f"The budget can't be recorded right now: {error}.", retry_after_s=5) from error
    parts.pacing.refresh()


def end_budget(parts: Parts, name: str, by: str) -> None:
    """End a budget; what it counted stays on record.

    Raises:
        NotFound: there is none of this name.
        LedgerUnavailable: nothing is changed.
    """
    try:
        found = parts.ledger.delete_budget(name, by=by)
    except Unavailable as error:
        raise LedgerUnavailable(f"The budget can't be ended right now: {error}.", retry_after_s=5) from error
    if not found:
        raise NotFound(f"There is no budget {name!r}; GET /v1/budgets lists them.")
    parts.pacing.refresh()
