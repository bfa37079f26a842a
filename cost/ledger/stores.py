"""What differs between the two databases: how a batch's transaction begins, how durable it is, and how a row is merged."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, Table, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.sql.expression import Executable

from cost.database import insert_new
from cost.ledger.prepared import Prepared
from cost.ledger.same_files import FilesReplaced, SameFiles

_BUDGETS_LOCK = 7_346_551_902_117_443
"""An advisory lock: batches share it, a change of budgets has it alone, so that no attempt is missed by a budget made meanwhile."""

_LOST_A_RACE = ("40001", "40P01")
"""Serialization failure and deadlock. Source: https://www.postgresql.org/docs/current/errcodes-appendix.html"""


class Store(Protocol):
    """A database, as one writer thread sees it.

    Attributes:
        may_be_locked_out: its writer may be waiting for another one. Where not, a commit that does not come is late, and no more.
    """

    prepared: Prepared
    may_be_locked_out: bool

    def connect(self) -> Connection:
        """The writer's own connection."""

    def transaction(self, connection: Connection, *, durable: bool, alone: bool) -> Any:
        """A context manager: commits at its end, rolls back when its block raises.

        Args:
            connection: from `connect`.
            durable: on disk before the block's end. Otherwise a power cut may undo it, in order and never by half.
            alone: no other writer of any process is inside one.
        """

    def wall_us(self, connection: Connection) -> int:
        """The time that all writers of this database go by."""

    def may_be_repeated(self, error: BaseException, connection: Connection | None) -> bool:
        """Whether the same transaction may do better at once: the connection is gone, or the database chose it to lose a deadlock."""

    def is_away(self, error: BaseException) -> bool:
        """Whether the database is to blame (away, locked, full), not what it was asked."""

    def insert_new(self, table: Table) -> Executable:
        """Insert rows that are not there yet."""

    def add_to(self, table: Table, measures: tuple[str, ...]) -> Executable:
        """Insert rows, or add their measures to those with the same key."""

    def replace(self, table: Table) -> Executable:
        """Insert rows, or overwrite those with the same key."""


def open_store(engine: Engine) -> Store:
    """The store behind an engine of `open_database`."""
    return _Sqlite(engine) if engine.dialect.name == "sqlite" else _Postgres(engine)


class _Common:
    """What both do alike, each with its own driver and its own construct for an upsert."""

    _insert: Any

    def __init__(self, engine: Engine) -> None:
        self.may_be_locked_out = True
        self._engine = engine
        self._driver = engine.dialect.loaded_dbapi
        self.prepared = Prepared(engine.dialect)

    def may_be_repeated(self, error: BaseException, connection: Connection | None) -> bool:
        if isinstance(error, DBAPIError):
            return error.connection_invalidated or getattr(error.orig, "sqlstate", None) in _LOST_A_RACE
        raw = None if connection is None or connection.closed else connection.connection.dbapi_connection
        lost = isinstance(error, self._driver.Error) and self._engine.dialect.is_disconnect(error, raw, None)
        return lost or getattr(error, "sqlstate", None) in _LOST_A_RACE

    def is_away(self, error: BaseException) -> bool:
        return isinstance(error, (OperationalError, self._driver.OperationalError, FilesReplaced))

    def insert_new(self, table: Table) -> Executable:
        return insert_new(self._engine, table)

    def add_to(self, table: Table, measures: tuple[str, ...]) -> Executable:
        statement = self._insert(table)
        sums = {name: table.c[name] + statement.excluded[name] for name in measures}
        return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=sums)  # type: ignore[no-any-return]

    def replace(self, table: Table) -> Executable:
        statement = self._insert(table)
        values = {column.name: statement.excluded[column.name] for column in table.c if not column.primary_key}
        return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=values)  # type: ignore[no-any-return]


class _Sqlite(_Common):
    """One writer in all: SQLite's own lock, taken in turns by a lock on a file beside it, because its busy handler starves waiters
    (p99 of 3 s against 40 ms with four processes).
    """

    _insert = staticmethod(sqlite.insert)

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        assert engine.url.database is not None
        self._lock_path = Path(f"{engine.url.database}.lock")
        self._files = SameFiles(Path(engine.url.database))
        self._synchronous = ""

    def connect(self) -> Connection:
        self._files.connecting()
        self._synchronous = ""
        return self._engine.connect().execution_options(immediate=True)

    @contextmanager
    def transaction(self, connection: Connection, *, durable: bool, alone: bool) -> Iterator[None]:  # noqa: ARG002 - it is always alone
        self._set_synchronous(connection, "FULL" if durable else "NORMAL")
        lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.may_be_locked_out = True
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with connection.begin():
                self.may_be_locked_out = False
                self._files.check()
                yield
        finally:
            self.may_be_locked_out = False
            os.close(lock)

    def _set_synchronous(self, connection: Connection, mode: str) -> None:
        """Only outside of a transaction does SQLite heed it."""
        if mode != self._synchronous:
            connection.connection.cursor().execute(f"PRAGMA synchronous={mode}")
            self._synchronous = mode

    def wall_us(self, connection: Connection) -> int:  # noqa: ARG002
        """The machine's clock: the file is on it, and so are all writers."""
        return time.time_ns() // 1_000


class _Postgres(_Common):
    """Many writers: each batch locks the rows it needs in one order, so that batches wait for each other and never for good.

    Any statement may wait for another writer or for a server that is gone, so it may always be locked out.
    """

    _insert = staticmethod(postgresql.insert)

    def connect(self) -> Connection:
        return self._engine.connect()

    @contextmanager
    def transaction(self, connection: Connection, *, durable: bool, alone: bool) -> Iterator[None]:
        with connection.begin():
            self.prepared.rows(connection, _BEGIN[durable, alone])
            yield

    def wall_us(self, connection: Connection) -> int:
        """The server's clock: replicas need not agree with each other."""
        microseconds: int = self.prepared.rows(connection, _POSTGRES_CLOCK)[0][0]
        return microseconds


_POSTGRES_CLOCK = text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)")
_BEGIN = {
    (durable, alone): text(f"SELECT set_config('synchronous_commit', '{commit}', true), pg_advisory_xact_lock{how}({_BUDGETS_LOCK})")
    for durable, commit in ((True, "on"), (False, "off"))
    for alone, how in ((True, ""), (False, "_shared"))
}
"""By whether the batch is durable, and whether it is alone."""
