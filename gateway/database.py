"""Opening the database at start: the newest schema, once, however many processes start together."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import alembic.command
import alembic.config
import alembic.util
import sqlalchemy as sa

from cost.database import BadDatabase, open_database, refuse_damaged, write_transaction

_ADVISORY_LOCK = 7_306_412_258
"""PostgreSQL's lock for migrations; any number that nobody else uses."""


def prepare_database(url: str) -> sa.Engine:
    """Open the database and bring its schema up to date.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError: it can't be opened or written.
        cost.database.BadDatabase: it can't be used for money.
    """
    engine = open_database(url)
    refuse_damaged(engine)
    with _alone(engine), write_transaction(engine) as connection:
        config = alembic.config.Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        config.attributes["connection"] = connection
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
        try:
            alembic.command.upgrade(config, "head")
        except alembic.util.CommandError as error:
            raise BadDatabase(f"its schema is not of this version of the gateway, or an older one: {error}") from error
    return engine


def open_as_it_is(url: str) -> sa.Engine:
    """Open a database that is there, whatever version's schema it has.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError: it can't be opened.
        cost.database.BadDatabase: it is not there, or can't be used for money.
    """
    engine = open_database(url)
    if engine.dialect.name == "sqlite" and not Path(str(engine.url.database)).exists():
        raise BadDatabase("there is no such file")
    refuse_damaged(engine)
    return engine


@contextmanager
def _alone(engine: sa.Engine) -> Iterator[None]:
    """Let one process migrate at a time."""
    if engine.dialect.name == "sqlite":
        with Path(f"{engine.url.database}.migrate.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("SET lock_timeout = 0"))  # whoever is first may take its time
        connection.execute(sa.text("SET statement_timeout = 0"))
        connection.execute(sa.text("SELECT pg_advisory_lock(:lock)"), {"lock": _ADVISORY_LOCK})
        try:
            yield
        finally:
            connection.execute(sa.text("SELECT pg_advisory_unlock(:lock)"), {"lock": _ADVISORY_LOCK})
            connection.invalidate()  # its timeouts are not those of the pool's others
