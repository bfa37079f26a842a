"""Why the ledger says no.

LedgerError
  BudgetExhausted       a budget has no room for the call's price
  OverMaxCost           the request's own ceiling has none
  NotPriced             the call has no valid price, so its provider can't be asked
  LedgerUnavailable     money can't be recorded now, so it must not be spent
  UnknownAttempt        a correction names an attempt that is not there
  RequestRunning        the Idempotency-Key's first request has not ended
  RequestMismatch       the Idempotency-Key came with another request before
  AlreadyAnswered       the Idempotency-Key's first request has ended; carries its answer
"""

from dataclasses import dataclass
from datetime import datetime

from cost.ledger.terms import Budget, SavedAnswer
from cost.money import Money


class LedgerError(Exception):
    """Refused, and nothing has changed."""


@dataclass(frozen=True, slots=True)
class Shortfall:
    """The arithmetic of a refusal: settled + reserved + unknown + needed > limit, in this window of this budget."""

    budget: Budget
    starts_at: datetime
    resets_at: datetime
    limit: Money
    settled: Money
    reserved: Money
    unknown: Money
    needed: Money

    def __str__(self) -> str:
        return (
            f"budget {self.budget.name}: settled {self.settled} + reserved {self.reserved} + unknown {self.unknown} + needed {self.needed} "
            f"> limit {self.limit} USD until {self.resets_at.isoformat()}"
        )


class BudgetExhausted(LedgerError):
    """At least one budget has no room.

    Attributes:
        shortfalls: every budget that is short, those that reject before those that degrade.
    """

    def __init__(self, shortfalls: tuple[Shortfall, ...]) -> None:
        super().__init__("; ".join(map(str, shortfalls)))
        self.shortfalls = shortfalls


class OverMaxCost(LedgerError):
    """The request's own ceiling, over all its attempts, has no room: committed + needed > max_cost."""

    def __init__(self, max_cost: Money, committed: Money, needed: Money) -> None:
        super().__init__(f"committed {committed} + needed {needed} > max_cost {max_cost} USD")
        self.max_cost = max_cost
        self.committed = committed
        self.needed = needed


class NotPriced(LedgerError):
    """The call has no valid price; the message says why."""


class LedgerUnavailable(LedgerError):
    """The database did not take the record in time; the message says why. Nothing may be paid for."""


class UnknownAttempt(LedgerError):
    """A correction names an attempt that is not in the ledger."""


class RequestRunning(LedgerError):
    """The first request of this Idempotency-Key still runs, for at most `retry_after_s` seconds."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("the first request with this Idempotency-Key has not ended")
        self.retry_after_s = retry_after_s


class RequestMismatch(LedgerError):
    """This Idempotency-Key came with another request before."""


class AlreadyAnswered(LedgerError):
    """The first request of this Idempotency-Key has ended; `answer` is to be given again."""

    def __init__(self, answer: SavedAnswer) -> None:
        super().__init__("the first request with this Idempotency-Key has been answered")
        self.answer = answer
