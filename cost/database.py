"""The one door to the database: SQLite (WAL, from the `pysqlite3` wheel) or PostgreSQL (psycopg), set up so that money is safe in it."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pysqlite3 import dbapi2 as sqlite
from sqlalchemy import Connection, Engine, Table, create_engine, event, make_url
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.engine import URL
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.sql.expression import Executable

SQLITE_BUSY_TIMEOUT_MS = 2_000
"""For other programs that hold the file: the ledger's own writers queue on a lock of theirs."""
SQLITE_CHECKPOINT_PAGES = 4_000
"""16 MB of log between checkpoints: each costs two fsyncs, which the default of 1,000 would add to every fiftieth call."""

POSTGRES_OPTIONS = "-c lock_timeout=2000 -c statement_timeout=15000 -c idle_in_transaction_session_timeout=15000 -c timezone=UTC"
POSTGRES_CONNECT_TIMEOUT_S = 2
SNAPSHOT_IDLE_MS = 600_000

_NETWORK_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "glusterfs", "lustre", "fuse.sshfs", "fuse.glusterfs"})
_CHECKED_BYTES_MAX = 256 * 1024 * 1024
_FIXED_IN = {(3, 44): 6, (3, 50): 7, (3, 51): 3}
"""Releases with the fix of the WAL-reset bug, by branch. Source: https://sqlite.org/wal.html#walresetbug"""


class BadDatabase(ValueError):
    """The database can't be used for money, and why."""


def open_database(url: str) -> Engine:
    """The engine behind a `GATEWAY_DATABASE_URL`. Connects to nothing yet.

    It may be made before a fork, but a connection opened before one is thrown away after it.

    Args:
        url: `sqlite:///var/gateway.db` (its folder is made) or `postgresql+psycopg://…`.

    Raises:
        BadDatabase: neither of the two, an SQLite with the WAL-reset bug, or a file on a network file system.
    """
    address = make_url(url)
    if address.get_backend_name() == "sqlite":
        engine = _open_sqlite(address)
    elif address.drivername == "postgresql+psycopg":
        engine = create_engine(
            address,
            pool_pre_ping=True,
            connect_args={"options": POSTGRES_OPTIONS, "connect_timeout": POSTGRES_CONNECT_TIMEOUT_S},
        )
    else:
        raise BadDatabase(f"{address.drivername} is neither sqlite nor postgresql+psycopg")
    _refuse_connections_from_before_a_fork(engine)
    return engine


@contextmanager
def write_transaction(engine: Engine) -> Iterator[Connection]:
    """A transaction that will write: committed at the end of the block, rolled back when it raises."""
    with engine.connect().execution_options(immediate=True) as connection, connection.begin():
        yield connection


def insert_new(engine: Engine, table: Table) -> Executable:
    """Insert rows, but those whose key is there already: for what is written again, since its commit may have been done or not."""
    insert = sqlite_dialect.insert if engine.dialect.name == "sqlite" else postgresql.insert
    return insert(table).on_conflict_do_nothing()


@contextmanager
def read_snapshot(engine: Engine) -> Iterator[Connection]:
    """A transaction that only reads, and sees the database as it was at its first read, however long it takes.

    On PostgreSQL it may idle for ten minutes between two reads: whoever downloads what is read may be slow.
    """
    postgres = engine.dialect.name == "postgresql"
    # A transaction of SQLite's reads one snapshot anyway.
    bound = engine.execution_options(isolation_level="REPEATABLE READ") if postgres else engine
    with bound.connect() as connection:
        if postgres:
            connection.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout = {SNAPSHOT_IDLE_MS}")
        yield connection


def has_wal_reset_bug(version: tuple[int, int, int]) -> bool:
    """Whether this SQLite may corrupt a WAL database that several processes write and checkpoint.

    Broken from 3.7.0 to 3.51.2. Source: https://sqlite.org/wal.html#walresetbug
    """
    fixed = _FIXED_IN.get(version[:2])
    return version < (3, 51, 3) if fixed is None else version[2] < fixed


def refuse_damaged(engine: Engine) -> None:
    """Look whether an SQLite file is whole, where that takes less than about a second. PostgreSQL looks after itself.

    Raises:
        BadDatabase: a page is damaged; what is still there must not be written over.
    """
    file = engine.url.database
    if engine.dialect.name != "sqlite" or not file or not Path(file).exists() or Path(file).stat().st_size > _CHECKED_BYTES_MAX:
        return
    with engine.connect() as connection:
        said = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    if said != "ok":
        raise BadDatabase(f"{file} is damaged ({' '.join(said.split())}). Keep it, and restore the last backup beside it.")


def _open_sqlite(address: URL) -> Engine:
    if has_wal_reset_bug(sqlite.sqlite_version_info):
        raise BadDatabase(f"SQLite {sqlite.sqlite_version} may corrupt a database that several processes write; 3.51.3 or later is needed")
    if not address.database or address.database == ":memory:":
        raise BadDatabase("a ledger in memory forgets: name a file, as in sqlite:///var/gateway.db")
    path = Path(address.database).absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = file_system_of(path.parent, Path("/proc/mounts"))
    if kind in _NETWORK_FILE_SYSTEMS:
        raise BadDatabase(f"{path.parent} is on {kind}: SQLite's log needs a local file system; use PostgreSQL")
    # The driver's own transactions are off (isolation_level None): `_begin` starts each.
    engine = create_engine(address, module=sqlite, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_MS // 1000, "isolation_level": None})
    event.listen(engine, "do_connect", _never_anew(path))
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin)
    return engine


def _never_anew(path: Path) -> Callable[..., None]:
    """Refuses to connect to a file that is not there any more: SQLite would make an empty one in its place."""
    seen = False

    def look(_dialect: object, _record: object, _arguments: object, _options: object) -> None:
        nonlocal seen
        if seen and not path.exists():
            raise sqlite.OperationalError(f"{path.name} was removed while it was in use")
        seen = True

    return look


def _begin(connection: Connection) -> None:
    """A transaction that reads first and then writes fails at once, whatever the busy timeout, unless it begins as a writer."""
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("immediate") else "BEGIN")


def _set_up_sqlite(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "trusted_schema=OFF",
        f"wal_autocheckpoint={SQLITE_CHECKPOINT_PAGES}",
        f"busy_timeout={SQLITE_BUSY_TIMEOUT_MS}",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def file_system_of(path: Path, mounts: Path) -> str:
    """The kind of file system that holds a path, by a mount table such as /proc/mounts; "" where none can be read."""
    try:
        rows = [line.split() for line in mounts.read_text().splitlines()]
    except OSError:
        return ""
    holding = [(len(row[1]), row[2]) for row in rows if len(row) > 2 and path.is_relative_to(row[1].replace("\\040", " "))]
    return max(holding, default=(0, ""))[1]


def _refuse_connections_from_before_a_fork(engine: Engine) -> None:
    """A connection shared over a fork is corruption. Source: https://docs.sqlalchemy.org/en/20/core/pooling.html, "multiprocessing"."""

    @event.listens_for(engine, "connect")
    def connect(_connection: object, record: Any) -> None:
        record.info["pid"] = os.getpid()

    @event.listens_for(engine, "checkout")
    def checkout(_connection: object, record: Any, proxy: Any) -> None:
        if record.info["pid"] != os.getpid():
            record.dbapi_connection = proxy.dbapi_connection = None
            raise DisconnectionError("this connection belongs to the process before the fork")
