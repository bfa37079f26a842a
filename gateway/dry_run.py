"""What a dry run knows of money: whom a budget would refuse now. Nothing is held, so it is true of this moment only."""

from collections.abc import Iterable
from contextlib import suppress

from sqlalchemy.exc import SQLAlchemyError

from cost.ledger import BudgetExhausted, BudgetStatus, Ledger, LedgerUnavailable, Shortfall
from cost.money import FREE, Money
from gateway.failures import reason_of
from gateway.metering import Bill
from gateway.route import Share, Step


def refused_by_budgets(ledger: Ledger, steps: Iterable[Step], bill: Bill) -> dict[str, str]:
    """The reasons by provider, in the words of a real refusal. While the database is away, nobody knows any."""
    refused: dict[str, str] = {}
    with suppress(SQLAlchemyError, LedgerUnavailable):
        statuses = ledger.budgets()
        for share in (share for step in steps for share in step if share.line.paid):
            price = _price(share)
            short = [status for status in statuses if _applies(status, share.line.name, bill) and price > status.remaining]
            if short:
                refused[share.line.name] = reason_of(BudgetExhausted(tuple(_shortfall(status, price) for status in short)))
    return refused


def _price(share: Share) -> Money:
    prices = (share.line.meter.quote(share.line.name, call) for call in share.line.provider.calls(share.features))
    return sum((price for price in prices if isinstance(price, Money)), FREE)


def _applies(status: BudgetStatus, provider: str, bill: Bill) -> bool:
    budget = status.budget
    if budget.scope == "provider":
        return budget.scope_value == provider
    return budget.binds(bill.client, bill.tags)


def _shortfall(status: BudgetStatus, needed: Money) -> Shortfall:
    window = status.window
    return Shortfall(
        status.budget, window.starts_at, window.ends_at, status.budget.limit, status.settled, status.reserved, status.unknown, needed
    )
