"""Holds whose owner did not come back, idempotency keys and flights that are over. Any process may sweep; repeating it changes nothing."""

from typing import Final

from sqlalchemy import bindparam, select

from cost.ledger import flights
from cost.ledger.book import Book
from cost.ledger.idempotency import DELETE_EXPIRED
from cost.ledger.operations import Alone
from cost.ledger.schema import IS_OPEN, attempts
from cost.ledger.settlement import Resolve
from cost.ledger.times import HOUR_US
from cost.ledger.writer import Run

ASSUMED_BILLED_AFTER_US: Final = 72 * HOUR_US
"""How long an unknown attempt waits for an invoice to say what it cost before its price is taken to have been billed."""

PAGE = 1_000
_OVERDUE = (
    select(attempts.c.id)
    .where(IS_OPEN, attempts.c.state == bindparam("state"), attempts.c.deadline_at_us < bindparam("before_us"))
    .order_by(attempts.c.deadline_at_us)
    .limit(PAGE)
)


def sweep(run: Run) -> int:
    """Move holds past their deadline to unknown, and unknowns past their patience to settled.

    Returns how many moved; at most `PAGE` of each, so that nobody waits long behind them: more than one page may be left.
    """
    (moves,) = run([Alone(_look)])
    return sum(run(moves)) if moves else 0


def _look(book: Book) -> list[Resolve]:
    """What is to be moved. What is over without a trace is deleted here and now."""
    book.connection.execute(DELETE_EXPIRED, {"now_us": book.now_us})
    flights.delete_expired(book)
    moves = [Resolve(id_, "unknown", "deadline_passed") for id_ in _ids(book, "reserved", book.now_us)]
    return moves + [Resolve(id_, "settled", "assumed_billed") for id_ in _ids(book, "unknown", book.now_us - ASSUMED_BILLED_AFTER_US)]


def _ids(book: Book, state: str, before_us: int) -> list[str]:
    return list(book.connection.execute(_OVERDUE, {"state": state, "before_us": before_us}).scalars())
