import shutil
from contextlib import contextmanager

import pytest
from pysqlite3 import dbapi2 as sqlite
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from cost.database import open_database
from cost.ledger import Budget, Correction, Ledger, UsageRow
from cost.ledger.verify import verify
from cost.money import Money
from tests.cost.clocks import FakeClock
from tests.cost.sheets import BOOK, FLAT, hold


def fill(ledger):
    """With one of everything."""
    ledger.put_budget(Budget("all", "global", "", "month", "UTC", Money.usd("10")))
    for provider in ("flat", "two_skus", "free_first"):
        usage = {"OBJECTS": 1, "LABELS": 1} if provider == "two_skus" else None
        held = [ledger.reserve(hold(provider, usage, tags={"team": "a"})).attempt_id for _ in range(5)]
        ledger.settle(held[0], provider_request_id="r")
        ledger.release(held[1], outcome="refused")
        ledger.unknown(held[2], outcome="timeout")
        ledger.unknown(held[3], outcome="timeout")
        ledger.settle(held[3], cost=Money(7))
    ledger.put_budget(Budget("shop", "client", "shop", "day", "UTC", Money.usd("10")))
    ledger.settle(held[4])
    ledger.correct(Correction(day="2026-11-22", provider="flat", sku="SKU", amount=Money(FLAT), units=1, reason="invoice"))
    ledger.correct(Correction(day="2026-11-22", provider="flat", sku="SKU", amount=Money(-1), reason="rounding", attempt_id=held[0]))
    ledger.record_usage(
        UsageRow(kind="hit", request_id="r", client="shop", provider="flat", features=frozenset(), sku="SKU", avoided=Money(9))
    )
    ledger.close()


@pytest.fixture(scope="module")
def full_sqlite(tmp_path_factory, empty_sqlite):
    """A file with one of everything, to be copied and altered."""
    folder = tmp_path_factory.mktemp("full")
    shutil.copy(empty_sqlite, folder / "full.db")
    engine = open_database(f"sqlite:///{folder}/full.db")
    clock = FakeClock("2026-11-22T12:00:00")
    fill(Ledger(engine, BOOK, spool=folder / "spool", now=clock.now, elapsed=clock.elapsed))
    engine.dispose()
    return folder / "full.db"


@contextmanager
def by_force(path):
    """As somebody would who has the file and takes the triggers away."""
    connection = sqlite.connect(path)
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    yield connection
    connection.commit()
    connection.close()


def test_a_sound_ledger_has_nothing_to_tell(ledger, engine):
    fill(ledger)
    told = []
    assert list(verify(engine, told.append)) == []
    assert sum(told) > 20


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE attempts SET client = 'other' WHERE id = (SELECT min(id) FROM attempts)",
        "UPDATE attempts SET cost_nanos = 1 WHERE id = (SELECT min(id) FROM attempts WHERE state = 'settled')",
        "UPDATE attempts SET provider_request_id = 'x' WHERE id = (SELECT min(id) FROM attempts WHERE state = 'settled')",
        "UPDATE attempts SET state = 'released', cost_nanos = NULL WHERE id = (SELECT min(id) FROM attempts WHERE state = 'settled')",
        "UPDATE attempts SET state = 'settled', cost_nanos = 0 WHERE id = (SELECT min(id) FROM attempts WHERE state = 'reserved')",
        "UPDATE attempt_lines SET units = units + 1 WHERE attempt_id = (SELECT min(id) FROM attempts)",
        "UPDATE attempt_lines SET sku = 'OTHER' WHERE attempt_id = (SELECT min(id) FROM attempts)",
        "DELETE FROM attempt_windows WHERE attempt_id = (SELECT min(id) FROM attempts)",
        "UPDATE ledger_entries SET amount_nanos = 0 WHERE seq = 3",
        "UPDATE ledger_entries SET at_us = at_us + 1 WHERE seq = 3",
        "DELETE FROM ledger_entries WHERE seq = 5",
        "DELETE FROM ledger_entries WHERE seq = (SELECT max(seq) FROM ledger_entries)",
        "DELETE FROM ledger_entries WHERE kind = 'correct'",
        "UPDATE corrections SET amount_nanos = amount_nanos + 1 WHERE reason = 'invoice'",
        "DELETE FROM corrections WHERE reason = 'invoice'",
        "DELETE FROM correction_windows",
        "UPDATE budget_windows SET settled_nanos = settled_nanos - 1",
        "UPDATE budget_windows SET opening_nanos = opening_nanos + 1",
        "UPDATE unit_counters SET units = units - 1 WHERE units > 0",
        "UPDATE daily_rollups SET cost_nanos = cost_nanos - 1",
        "DELETE FROM daily_rollups WHERE provider = 'two_skus'",
        "DELETE FROM usage_rows",
        "UPDATE attempts SET ended_at_us = ended_at_us + 1 WHERE state = 'settled'",
        "DELETE FROM unit_counters WHERE id = (SELECT max(id) FROM unit_counters)",
        "UPDATE unit_counters SET month = '2026-08'",
        "UPDATE unit_counters SET provider = 'other' WHERE id = 1",
        "DELETE FROM budget_windows WHERE id = 1",
        "UPDATE budgets SET limit_nanos = limit_nanos * 10 WHERE name = 'all'",
        "UPDATE budgets SET scope_value = 'other' WHERE name = 'shop'",
        "UPDATE budget_windows SET starts_at_us = ends_at_us - 1",
        "UPDATE daily_tag_rollups SET cost_nanos = cost_nanos + 1 WHERE sku = 'SKU'",
        "UPDATE daily_tag_rollups SET tags = ',b:1,'",
        "DELETE FROM daily_tag_rollups WHERE provider = 'flat'",
    ],
)
def test_an_altered_or_missing_row_is_found(full_sqlite, tmp_path, change):
    shutil.copy(full_sqlite, tmp_path / "ledger.db")
    with by_force(tmp_path / "ledger.db") as connection:
        assert connection.execute(change).rowcount
    engine = open_database(f"sqlite:///{tmp_path}/ledger.db")
    assert list(verify(engine)) != []
    engine.dispose()


def test_a_reserve_that_ended_a_dead_writers_chain_is_missed(ledger, engine, clock, tmp_path):
    """Its attempt was ended by another process, whose chain is whole."""
    ledger.reserve(hold())
    attempt_id = ledger.reserve(hold()).attempt_id
    ledger.close()
    other = Ledger(engine, BOOK, spool=tmp_path / "spool", now=clock.now, elapsed=clock.elapsed)
    other.settle(attempt_id)
    other.close()
    assert list(verify(engine)) == []
    with engine.begin() as connection:
        take_triggers_away(connection)
        assert connection.execute(text("DELETE FROM ledger_entries WHERE kind = 'reserve' AND seq = 2")).rowcount == 1
    assert any("no entry of its reserve" in problem for problem in verify(engine))


def take_triggers_away(connection):
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL session_replication_role = 'replica'"))
    else:
        connection.execute(text("DROP TRIGGER ledger_entries_no_delete"))


REWRITES = [
    "UPDATE ledger_entries SET amount_nanos = 0",
    "DELETE FROM ledger_entries",
    "UPDATE corrections SET amount_nanos = 0",
    "DELETE FROM corrections",
    "UPDATE attempt_lines SET units = 9",
    "DELETE FROM attempt_windows",
    "DELETE FROM attempts",
    "UPDATE attempts SET price_nanos = 0",
    "UPDATE attempts SET client = 'other' WHERE state = 'reserved'",
    "UPDATE attempts SET state = 'reserved', cost_nanos = NULL WHERE state = 'settled'",
    "UPDATE attempts SET outcome = 'x' WHERE state = 'settled'",
]


def test_the_database_itself_refuses_to_rewrite_the_past(ledger, engine):
    fill(ledger)
    for change in REWRITES:
        with pytest.raises(SQLAlchemyError, match=r"append-only|forwards|never deleted"), engine.begin() as connection:
            connection.execute(text(change))
