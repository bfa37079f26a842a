"""One batch: a transaction that opens the book, applies every operation to it in order, and writes it back."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from cost.ledger.admission import Reserve
from cost.ledger.book import Book, BookKeeper
from cost.ledger.clock import LedgerClock
from cost.ledger.errors import LedgerError
from cost.ledger.journal import Chain
from cost.ledger.operations import Alone, ClaimKey, FreeKey, Operation, SaveAnswer
from cost.ledger.settlement import Resolve
from cost.ledger.stores import Store
from cost.ledger.times import new_id

log = logging.getLogger(__name__)

Crashpoint = Callable[[str], None]
"""Called with the name of a moment at which a process may die: `before_commit`, `after_commit`. Tests die there."""


@dataclass(frozen=True, slots=True)
class Done:
    """An operation's result."""

    result: object


@dataclass(frozen=True, slots=True)
class Refused:
    """An operation's refusal; it changed nothing."""

    error: LedgerError


class BatchFailed(Exception):
    """A batch that was not committed. Raised from the reason.

    Attributes:
        in_doubt: the database went away during the commit, so it may have been. Otherwise nothing has changed.
        may_be_repeated: the same batch may do better at once.
        database_away: the database is to blame, not one of the operations.
    """

    def __init__(self, *, in_doubt: bool, may_be_repeated: bool, database_away: bool) -> None:
        super().__init__("in doubt" if in_doubt else "rolled back")
        self.in_doubt = in_doubt
        self.may_be_repeated = may_be_repeated
        self.database_away = database_away


class BatchRunner:
    """The writer thread's: its connection, its chain in the journal, and what it remembers between batches."""

    def __init__(self, store: Store, keeper: BookKeeper, clock: LedgerClock, crashpoint: Crashpoint) -> None:
        self._store = store
        self._keeper = keeper
        self.clock = clock
        self._crashpoint = crashpoint
        self._chain = Chain(new_id())
        self._connection: Connection | None = None

    @property
    def may_be_locked_out(self) -> bool:
        """Whether another writer may keep this one waiting; see `Store`."""
        return self._store.may_be_locked_out

    def run(self, operations: Sequence[Operation]) -> list[Done | Refused]:
        """Commit a batch; once more where its connection was lost before the commit (the server was started again).

        Raises:
            BatchFailed: from the database's error, or from a mistake of ours.
        """
        try:
            return self._run(operations)
        except BatchFailed as failure:
            if failure.in_doubt or not failure.may_be_repeated:
                raise
        return self._run(operations)

    def _run(self, operations: Sequence[Operation]) -> list[Done | Refused]:
        chain = Chain(self._chain.writer, self._chain.seq, self._chain.last_hash)
        durable = any(isinstance(operation, Reserve) or (isinstance(operation, Alone) and operation.durable) for operation in operations)
        exclusive = any(isinstance(operation, Alone) and operation.exclusive for operation in operations)
        committing = False
        try:
            connection = self._connect()
            with self._store.transaction(connection, durable=durable, alone=exclusive):
                outcomes = self._apply(connection, operations, chain)
                self._crashpoint("before_commit")
                committing = True
        except BaseException as error:
            repeat, away = self._store.may_be_repeated(error, self._connection), self._store.is_away(error)
            self._start_over()
            raise BatchFailed(in_doubt=committing, may_be_repeated=repeat, database_away=away) from error
        self._crashpoint("after_commit")
        self._chain = Chain(chain.writer, chain.seq, chain.last_hash)
        return outcomes

    def _apply(self, connection: Connection, operations: Sequence[Operation], chain: Chain) -> list[Done | Refused]:
        book = Book(self._keeper, connection, self.clock.now_us(connection), chain)
        reserves = [operation for operation in operations if isinstance(operation, Reserve)]
        claims = [operation.claim for operation in operations if isinstance(operation, ClaimKey)]
        claims += [operation.claim for operation in reserves if operation.claim is not None]
        resolves = [operation for operation in operations if isinstance(operation, Resolve)]
        book.read(
            holds=[operation.hold for operation in reserves],
            attempt_ids=[resolve.attempt_id for resolve in resolves],
            released_ids=[resolve.attempt_id for resolve in resolves if resolve.to == "released"],
            claims=claims,
            keys=[operation.key for operation in operations if isinstance(operation, (SaveAnswer, FreeKey))],
        )
        outcomes: list[Done | Refused] = []
        for operation in operations:
            try:
                outcomes.append(Done(operation.apply(book)))
            except LedgerError as error:
                outcomes.append(Refused(error))
        book.write()
        return outcomes

    def _connect(self) -> Connection:
        if self._connection is None:
            self._connection = self._store.connect()
        return self._connection

    def _start_over(self) -> None:
        """After a failure nothing that was remembered is sure: a new connection, and a new chain in case the commit did happen."""
        self._keeper.forget()
        self.clock.forget()
        self._chain = Chain(new_id())
        self.close()

    def close(self) -> None:
        """Give back the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.invalidate()
                connection.close()
            except Exception:  # it is being thrown away
                log.debug("ledger.connection_dropped", exc_info=True)
