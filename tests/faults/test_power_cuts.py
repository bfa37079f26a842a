"""The power goes at a random write: no billed call is forgotten."""

import random
import shutil
import threading

import pytest
from sqlalchemy import select

from cost.database import open_database
from cost.ledger import Budget, Ledger
from cost.ledger.schema import attempts
from cost.ledger.verify import verify
from cost.money import Money
from tests.cost.sheets import BOOK, FLAT, hold
from tests.faults.forgetful import Disk, driver

CALLERS, CALLS_EACH = 4, 12
WRITES = 1_000
"""A cut falls anywhere in so many; the callers go on until it has come."""


@pytest.fixture
def machine(tmp_path, empty_sqlite, monkeypatch):
    """A ledger on a forgetful disk."""
    disk = Disk(f"forgetful-{tmp_path.name}")
    monkeypatch.setattr("cost.database.sqlite", driver(disk))
    (tmp_path / "before").mkdir()
    shutil.copy(empty_sqlite, tmp_path / "before" / "ledger.db")
    engine = open_database(f"sqlite:///{tmp_path}/before/ledger.db")
    ledger = Ledger(engine, BOOK, spool=tmp_path / "spool", tick_s=3600)
    ledger.put_budget(Budget("all", "global", "", "month", "UTC", Money.usd("1000")))
    yield disk, ledger
    ledger.close()
    engine.dispose()
    monkeypatch.undo()


def call_provider(ledger, billed, calls):
    for _ in range(calls):
        attempt_id = ledger.reserve(hold(), wait_s=30).attempt_id
        billed.append(attempt_id)  # The provider has it now, whatever becomes of this machine.
        ledger.settle(attempt_id, wait_s=30)


def together(work, callers):
    threads = [threading.Thread(target=work) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def cut(machine, tmp_path, seed):
    """Run until the power goes. Returns what was billed by then, and what the ledger says of it after the machine's next start."""
    disk, ledger = machine
    rng = random.Random(seed)
    billed, billed_at_cut = [], []
    disk.cut_at(disk.writes + rng.randrange(1, WRITES), lambda: billed_at_cut.extend(billed))
    while not disk.is_cut:
        together(lambda: call_provider(ledger, billed, CALLS_EACH), CALLERS)
    after = tmp_path / "after"
    after.mkdir()
    disk.after_the_cut(after, rng)
    return billed_at_cut


def read_after(tmp_path):
    engine = open_database(f"sqlite:///{tmp_path}/after/ledger.db")
    with engine.connect() as connection:
        states = dict(connection.execute(select(attempts.c.id, attempts.c.state)).all())
    problems = list(verify(engine))
    ledger = Ledger(engine, BOOK, spool=tmp_path / "spool-after", tick_s=3600)
    committed = ledger.budgets()[0].committed
    ledger.close()
    engine.dispose()
    return states, problems, committed


def no_billed_call_is_lost(machine, tmp_path, monkeypatch, seed):
    billed = cut(machine, tmp_path, seed)
    monkeypatch.undo()
    states, problems, committed = read_after(tmp_path)
    assert [attempt_id for attempt_id in billed if states.get(attempt_id) not in ("reserved", "settled", "unknown")] == []
    assert problems == []
    assert committed.nanos >= len(billed) * FLAT


@pytest.mark.parametrize("seed", range(6))
def test_no_billed_call_is_lost_when_the_power_goes(machine, tmp_path, monkeypatch, seed):
    no_billed_call_is_lost(machine, tmp_path, monkeypatch, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6, 60))
def test_no_billed_call_is_lost_when_the_power_goes_in_sixty_runs(machine, tmp_path, monkeypatch, seed):
    no_billed_call_is_lost(machine, tmp_path, monkeypatch, seed)


def test_a_reserve_that_is_not_synced_would_lose_them(machine, tmp_path, monkeypatch):
    """That the simulation can tell the difference."""
    disk, ledger = machine
    monkeypatch.setattr("cost.ledger.stores._Sqlite._set_synchronous", lambda store, connection, mode: None)
    connection = ledger._writer._runner._connect()
    connection.connection.cursor().execute("PRAGMA synchronous=NORMAL")
    billed = []
    disk.cut_at(disk.writes + 300, lambda: billed.append(None))
    together(lambda: call_provider(ledger, [], CALLS_EACH), 2)
    (tmp_path / "after").mkdir()
    disk.after_the_cut(tmp_path / "after", random.Random(3))
    monkeypatch.undo()
    states, _, _ = read_after(tmp_path)
    assert len(states) < 10


def syncs_a_call(machine, callers, calls_each):
    disk, ledger = machine
    call_provider(ledger, [], 2)
    before = disk.syncs
    together(lambda: call_provider(ledger, [], calls_each), callers)
    return (disk.syncs - before) / (callers * calls_each)


def test_a_paid_call_alone_costs_one_sync(machine):
    assert syncs_a_call(machine, 1, 40) <= 1.1


def test_sixteen_callers_share_theirs(machine):
    assert syncs_a_call(machine, 16, 10) <= 0.4


def test_money_is_on_disk_before_the_provider_is_asked(machine):
    disk, ledger = machine
    for _ in range(5):
        before = disk.syncs
        attempt_id = ledger.reserve(hold(), wait_s=30).attempt_id
        assert disk.syncs > before
        before = disk.syncs
        ledger.settle(attempt_id, wait_s=30)
        assert disk.syncs == before
