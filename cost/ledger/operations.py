"""The small operations: on idempotency keys, and anything that needs a transaction of its own. `Reserve` and `Resolve` have their rooms."""

from collections.abc import Callable
from dataclasses import dataclass

from cost.ledger.admission import Reserve
from cost.ledger.book import Book
from cost.ledger.idempotency import Claim
from cost.ledger.settlement import Resolve
from cost.ledger.terms import IdempotencyKey, SavedAnswer


@dataclass(frozen=True, slots=True)
class ClaimKey:
    """Make a request the owner of its idempotency key; refused as `KeyRows.claim` says."""

    claim: Claim

    def apply(self, book: Book) -> None:
        """Take the key."""
        book.keys.claim(self.claim, book.now_us)


@dataclass(frozen=True, slots=True)
class SaveAnswer:
    """Keep what the owner of a key answered."""

    key: IdempotencyKey
    answer: SavedAnswer

    def apply(self, book: Book) -> bool:
        """Whether it was the owner's first answer."""
        return book.keys.answer(self.key, self.answer)


@dataclass(frozen=True, slots=True)
class FreeKey:
    """Forget a key under which nothing was done."""

    key: IdempotencyKey
    request_id: str

    def apply(self, book: Book) -> bool:
        """Whether it was the owner's to free."""
        return book.keys.forget(self.key, self.request_id)


@dataclass(frozen=True, slots=True)
class Alone:
    """Work in a transaction of its own.

    Attributes:
        work: does it, and locks what it needs in the order that `book` says.
        exclusive: no other writer of any process is inside a transaction meanwhile.
        durable: on disk before its caller goes on.
    """

    work: Callable[[Book], object]
    exclusive: bool = False
    durable: bool = False

    def apply(self, book: Book) -> object:
        """What the work returns."""
        return self.work(book)


Operation = Reserve | Resolve | ClaimKey | SaveAnswer | FreeKey | Alone
