"""The one SQL database: SQLite embedded, PostgreSQL for many replicas."""

from pathlib import Path

import pysqlite3
import sqlalchemy as sa


def open_database(url: str) -> sa.Engine:
    """An engine on `sqlite:///path` or `postgresql+psycopg://…`. Makes the folder of a SQLite file. Call after fork."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return sa.create_engine(parsed, pool_pre_ping=True)
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(parsed, module=pysqlite3)

    @sa.event.listens_for(engine, "connect")
    def set_pragmas(connection: pysqlite3.Connection, _record: object) -> None:
        connection.executescript("PRAGMA journal_mode=WAL; PRAGMA busy_timeout=5000; PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF;")

    return engine
