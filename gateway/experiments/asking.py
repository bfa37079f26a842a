"""Asking an arm about a picture, as somebody who pays from the experiment's own budget."""

import time
from collections.abc import Iterable

from cost.ledger import Budget, BudgetStatus, Ledger
from cost.money import Money
from gateway.dispatch import Dispatcher
from gateway.errors import BudgetExhausted, GatewayError
from gateway.experiments.terms import TAG, Arm, ArmAnswer, Terms
from gateway.ids import new_id
from gateway.metering import Bill
from gateway.outcome import Outcome
from gateway.wire.options import Options
from providers.images import Image


class BudgetSpent(Exception):
    """The experiment's own budget has no room for this call, or somebody has ended it. The call was not made."""


class NotNow(Exception):
    """Somebody else's budget has no room to spare, or what was got is not this arm's answer. Nothing is wrong with the arm."""


def budget_of(terms: Terms) -> Budget | None:
    """The budget that binds an experiment's own attempts and nobody else's: once for all, not a window."""
    if terms.budget is None:
        return None
    return Budget(f"experiment.{terms.name}", "tag", f"{TAG}:{terms.name}", "lifetime", "UTC", terms.budget, when_exhausted="reject")


def spent(budgets: Iterable[BudgetStatus], terms: Terms) -> Money | None:
    """What an experiment's budget has committed, of all budgets there are; None where it has none."""
    budget = budget_of(terms)
    return next((status.committed for status in budgets if budget and status.budget.name == budget.name), None)


def check_spare_room(ledger: Ledger, terms: Terms) -> None:
    """Leave clients their money: the budgets that they need too must be less than half used, and the experiment's own must stand.

    Raises:
        NotNow, BudgetSpent: one is not; it does not.
    """
    budgets, own = ledger.budgets(), budget_of(terms)
    if own and all(status.budget.name != own.name for status in budgets):
        raise BudgetSpent("its budget was ended")
    for status in budgets:
        shared = status.budget.scope in {"global", "provider"}
        if shared and 2 * status.committed.nanos >= status.budget.limit.nanos:
            raise NotNow(f"the budget {status.budget.name} is half used")


def ask(dispatcher: Dispatcher, image: Image, terms: Terms, arm: Arm) -> ArmAnswer:
    """What an arm answers. No cache: it would say nothing about the arm's speed and cost.

    Raises:
        BudgetSpent, NotNow: see there.
    """
    options = Options(
        features=terms.features, providers=arm.providers or None, strategy=arm.strategy, cache="off", min_confidence=0, max_results=1000
    )
    bill = Bill(new_id(), f"experiment.{terms.name}", {TAG: terms.name})
    started = time.monotonic()
    try:
        outcome = dispatcher.detect(image, options, bill, started + dispatcher.time_limit_s(options))
    except BudgetExhausted as error:
        own = budget_of(terms)
        if own and error.members.get("budget") == own.name:
            raise BudgetSpent("its budget is spent") from error
        raise NotNow(error.detail) from error
    except GatewayError as error:
        return ArmAnswer(error=error.code, latency_ms=(time.monotonic() - started) * 1000)
    if outcome.degraded:
        raise NotNow("money or time was out for the provider that the arm would have asked")
    return answer_of(outcome)


def answer_of(outcome: Outcome) -> ArmAnswer:
    """An outcome as an arm's answer. Of one call alone its own time counts, without the ledger's."""
    alone = outcome.attempts[0].latency_ms if len(outcome.attempts) == 1 else outcome.latency_ms
    return ArmAnswer(
        outcome.detections,
        outcome.provider or "",
        outcome.model or "",
        outcome.cost,
        None if outcome.cache in {"hit", "joined"} else alone,
    )
