import errno
import os
import shutil
import threading

import pytest

from cost.backup import back_up
from cost.database import open_database
from cost.ledger import Budget, Ledger
from cost.ledger.verify import verify
from cost.money import Money
from tests.cost.sheets import BOOK, hold
from tests.waiting import until


@pytest.fixture
def spending(tmp_path, empty_sqlite):
    """A ledger's engine while four threads spend."""
    shutil.copy(empty_sqlite, tmp_path / "gateway.db")
    engine = open_database(f"sqlite:///{tmp_path}/gateway.db")
    ledger = Ledger(engine, BOOK, spool=tmp_path / "spool")
    ledger.put_budget(Budget("all", "global", "", "month", "UTC", Money.usd("1000")))
    enough = threading.Event()

    def spend():
        while not enough.is_set():
            ledger.settle(ledger.reserve(hold()).attempt_id)

    threads = [threading.Thread(target=spend) for _ in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: ledger.budgets()[0].settled)
    yield engine
    enough.set()
    for thread in threads:
        thread.join()
    ledger.close()
    engine.dispose()


def test_a_copy_made_while_money_is_spent_is_a_sound_ledger(spending, tmp_path):
    for number in range(5):
        file = tmp_path / f"copy{number}.db"
        back_up(spending, file)
        copy = open_database(f"sqlite:///{file}")
        assert list(verify(copy)) == []
        copy.dispose()
    assert not list(tmp_path.glob("*.part"))


def test_a_copy_goes_on_where_it_was_made(spending, tmp_path):
    back_up(spending, tmp_path / "copy.db")
    copy = open_database(f"sqlite:///{tmp_path}/copy.db")
    ledger = Ledger(copy, BOOK, spool=tmp_path / "another")
    [before] = ledger.budgets()
    ledger.settle(ledger.reserve(hold()).attempt_id)
    [after] = ledger.budgets()
    assert after.settled > before.settled > Money(0)
    ledger.close()
    assert list(verify(copy)) == []
    copy.dispose()


def test_what_a_backup_that_was_killed_has_left_is_in_nobodys_way(spending, tmp_path):
    (tmp_path / "copy.db.part").write_bytes(b"half of something" * 1_000)
    back_up(spending, tmp_path / "copy.db")
    copy = open_database(f"sqlite:///{tmp_path}/copy.db")
    assert list(verify(copy)) == []
    copy.dispose()


def test_a_copy_that_the_disk_does_not_take_leaves_nothing(spending, tmp_path, monkeypatch):
    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        back_up(spending, tmp_path / "copy.db")
    monkeypatch.undo()
    assert not list(tmp_path.glob("copy*"))
