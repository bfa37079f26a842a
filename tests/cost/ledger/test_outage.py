"""The database is away: nothing is paid for, nothing that was paid is forgotten, and it comes back by itself."""

import os
import re
import shutil
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from pysqlite3 import dbapi2 as sqlite
from sqlalchemy import event, text

from cost.ledger import Budget, Ledger, LedgerUnavailable
from cost.ledger.operations import Alone
from cost.ledger.verify import verify
from cost.money import Money
from tests.cost.sheets import BOOK, FLAT, hold


@pytest.fixture
def sturdy(engine, tmp_path):
    """With the real clock and a quick tick."""
    ledger = Ledger(engine, BOOK, spool=tmp_path / "spool", tick_s=0.05)
    ledger.put_budget(Budget("all", "global", "", "month", "UTC", Money.usd("1")))
    yield ledger
    ledger.close()


@contextmanager
def held_by_another_program(engine):
    """Which locks everything that a batch needs."""
    if engine.dialect.name == "sqlite":
        connection = sqlite.connect(engine.url.database, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
        connection.close()
    else:
        with engine.connect() as connection, connection.begin():
            connection.execute(text("SELECT * FROM budget_windows FOR UPDATE"))
            connection.execute(text("SELECT * FROM attempts FOR UPDATE"))
            yield


def until(fact, seconds=20):
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def test_a_locked_database_refuses_paid_calls_and_keeps_what_was_paid(sturdy, engine, tmp_path):
    paid = sturdy.reserve(hold(), wait_s=10).attempt_id
    with held_by_another_program(engine):
        with pytest.raises(LedgerUnavailable):
            sturdy.reserve(hold(), wait_s=0.2)
        assert sturdy.problem
        sturdy.settle(paid, provider_request_id="r-1", wait_s=0.2)
        assert any(path.stat().st_size for path in (tmp_path / "spool").iterdir())
    until(lambda: [(status.settled, status.reserved) for status in sturdy.budgets()] == [(Money(FLAT), Money(0))])
    assert sturdy.problem is None
    sturdy.settle(sturdy.reserve(hold(), wait_s=10).attempt_id)
    sturdy.close()
    assert list(verify(engine)) == []


def test_what_a_dead_process_could_not_record_is_recorded_by_the_next(sturdy, engine, tmp_path):
    paid = sturdy.reserve(hold(), wait_s=10).attempt_id
    with held_by_another_program(engine):
        sturdy.settle(paid, wait_s=0.2)
        assert sturdy.problem
        sturdy._spool.close()  # as the end of its process does
    until(lambda: sturdy.problem is None)
    sturdy.close()
    with closing(Ledger(engine, BOOK, spool=tmp_path / "spool", tick_s=0.05)) as after:
        until(lambda: after.budgets()[0].settled == Money(FLAT))


def test_a_dead_processs_file_that_can_not_be_read_refuses_paid_calls_and_is_told_with_what_to_do(sturdy, tmp_path, caplog):
    paid = sturdy.reserve(hold(), wait_s=10).attempt_id
    stranger = tmp_path / "spool" / "stranger.jsonl"
    stranger.mkdir(parents=True)
    until(lambda: sturdy.problem)
    assert re.search(r"stranger\.jsonl .*Is a directory.*Let user \d+ read it.*or move it away", sturdy.problem)
    for _ in range(20):  # whatever else is committed meanwhile
        sturdy.sweep()
        with pytest.raises(LedgerUnavailable, match="stranger"):
            sturdy.reserve(hold(), wait_s=10)
        time.sleep(0.02)
    sturdy.settle(paid, wait_s=10)
    assert sturdy.budgets()[0].settled == Money(FLAT), "the database is there"
    stranger.rmdir()
    until(lambda: sturdy.problem is None)
    sturdy.reserve(hold(), wait_s=10)
    assert [record.file for record in caplog.records if record.getMessage() == "ledger.spool_unreadable"] == [str(stranger)], "told once"


def test_an_abandoned_reserve_holds_nothing(sturdy, engine):
    def give_up():
        with pytest.raises(LedgerUnavailable):
            sturdy.reserve(hold(), wait_s=0.2)

    with held_by_another_program(engine):
        waiting = [threading.Thread(target=give_up) for _ in range(3)]
        for thread in waiting:
            thread.start()
        for thread in waiting:
            thread.join()
    until(lambda: sturdy.problem is None and sturdy.budgets()[0].committed == Money(0))
    with engine.connect() as connection:
        assert set(connection.execute(text("SELECT state FROM attempts")).scalars()) <= {"released"}


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_commit_whose_end_nobody_saw_is_taken_back_if_it_happened(url, engine, tmp_path):
    """The server goes away between the last statement and the answer to the COMMIT."""
    victim = threading.Event()

    def cut(moment):
        if moment == "before_commit" and victim.is_set():
            victim.clear()
            terminate_writers()

    def terminate_writers():
        with engine.connect() as connection:
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction' AND pid <> pg_backend_pid()"
                )
            )

    with closing(Ledger(engine, BOOK, spool=tmp_path / "spool", tick_s=3600, crashpoint=cut)) as ledger:
        ledger.put_budget(Budget("all", "global", "", "month", "UTC", Money.usd("1")))
        victim.set()
        with pytest.raises(LedgerUnavailable):
            ledger.reserve(hold(), wait_s=10)
    with closing(Ledger(engine, BOOK, spool=tmp_path / "spool")) as after:
        assert after.budgets()[0].committed == Money(0)
        after.settle(after.reserve(hold(), wait_s=10).attempt_id)
    assert list(verify(engine)) == []


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_server_that_was_started_again_costs_no_failed_reserve(sturdy, engine):
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND state = 'idle'"))
    sturdy.reserve(hold(), wait_s=10)


def fill_up(ledger):
    for _ in range(200):
        ledger.reserve(hold(tags={f"t{n}": "y" * 128 for n in range(16)}), wait_s=10)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_full_disk_refuses_paid_calls_until_there_is_room_and_harms_nothing(url, engine, tmp_path):

    ledger = Ledger(engine, BOOK, spool=tmp_path / "spool", tick_s=0.05)
    ledger.put_budget(Budget("all", "global", "", "month", "UTC", Money.usd("1")))
    ledger.reserve(hold(), wait_s=10)
    pages = ledger._alone(lambda book: book.connection.exec_driver_sql("PRAGMA page_count").scalar())
    ledger._alone(lambda book: book.connection.exec_driver_sql(f"PRAGMA max_page_count={pages}").scalar())
    with pytest.raises(LedgerUnavailable, match="full"):
        fill_up(ledger)
    assert ledger.budgets()[0].committed > Money(0)
    # The writer's next connection has no such limit.
    until(lambda: ledger.problem is None)
    ledger.reserve(hold(), wait_s=10)
    ledger.close()
    assert list(verify(engine)) == []


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_database_that_can_not_be_written_refuses_paid_calls(url, engine, tmp_path):
    event.listen(engine, "connect", lambda connection, _record: connection.execute("PRAGMA query_only=ON"))
    with closing(Ledger(engine, BOOK, spool=tmp_path / "spool", tick_s=0.05)) as ledger:
        with pytest.raises(LedgerUnavailable, match="readonly"):
            ledger.reserve(hold(), wait_s=10)
        assert "readonly" in ledger.problem


def test_an_operation_that_can_not_be_written_does_not_take_its_neighbours_with_it(sturdy):
    outcomes = []

    def reserve(units):
        try:
            outcomes.append(sturdy.reserve(hold(usage={"SKU": units}), wait_s=20).price)
        except LedgerUnavailable:
            outcomes.append(None)

    more_than_a_ledger_holds = 2**62
    threads = [threading.Thread(target=reserve, args=(more_than_a_ledger_holds if number == 7 else 1,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (outcomes.count(None), outcomes.count(Money(FLAT))) == (1, 19)
    assert sturdy.problem is None


def test_while_the_database_is_away_a_paid_call_is_refused_at_once(sturdy, engine):
    with held_by_another_program(engine):
        with pytest.raises(LedgerUnavailable):
            sturdy.reserve(hold(), wait_s=0.2)
        with pytest.raises(LedgerUnavailable):
            sturdy.reserve(hold(), wait_s=3600)
    until(lambda: sturdy.problem is None)
    sturdy.reserve(hold(), wait_s=10)


def test_a_queue_on_a_busy_machine_is_no_outage(engine, tmp_path):
    """The record before which others are written waits for longer than a silent database is waited for."""

    def slow(moment):
        if moment == "before_commit":
            time.sleep(0.2)

    with closing(Ledger(engine, BOOK, spool=tmp_path / "spool", tick_s=3600, crashpoint=slow)) as ledger:
        ledger.reserve(hold(), wait_s=10)
        for _ in range(8):
            ledger._writer.submit(Alone(lambda _book: None))
        ledger.reserve(hold(), wait_s=1)
        assert ledger.problem is None


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("where", ["in a commit", "in the chores"])
def test_a_slow_writer_is_no_outage(url, engine, tmp_path, where):
    """A record takes longer than a database that somebody else has locked is waited for."""
    slow = threading.Event()

    def stall(moment):
        if moment == "before_commit" and slow.is_set():
            slow.clear()
            time.sleep(1.5)

    with closing(Ledger(engine, BOOK, spool=tmp_path / "spool", tick_s=0.05, crashpoint=stall)) as ledger:
        ledger.reserve(hold(), wait_s=10)
        if where == "in the chores":
            replay = ledger._spool.replay
            ledger._spool.replay = lambda run: (stall("before_commit"), replay(run))
        slow.set()
        until(lambda: not slow.is_set())
        ledger.reserve(hold(), wait_s=1)
        assert ledger.problem is None


def test_chores_that_fail_are_told_once_and_done_again(engine, tmp_path, caplog):
    chores = [ValueError("odd"), ValueError("odd"), ValueError("odd"), None, ValueError("odd"), None, None]

    def replay(_run):
        if (error := chores.pop(0) if chores else None) is not None:
            raise error

    with closing(Ledger(engine, BOOK, spool=tmp_path / "spool", tick_s=0.01)) as ledger:
        ledger._spool.replay = replay
        until(lambda: not chores)
    assert [record.getMessage() for record in caplog.records] == ["ledger.chores_failed"] * 2


def test_who_has_no_time_to_wait_for_a_locked_database_does_not(sturdy, engine):
    sturdy.reserve(hold(), wait_s=10)
    with held_by_another_program(engine), pytest.raises(LedgerUnavailable, match="no commit within"):
        sturdy.reserve(hold(), wait_s=3600, within_s=0.3)
    until(lambda: sturdy.problem is None and sturdy.budgets()[0].committed == Money(FLAT))


def test_a_closed_ledger_takes_nothing_more(ledger):
    ledger.close()
    with pytest.raises(LedgerUnavailable, match="closed"):
        ledger.reserve(hold())


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_ledger_from_before_a_fork_is_not_used_after_it(ledger):
    child = os.fork()
    if child == 0:
        try:
            ledger.reserve(hold())
        except AssertionError:
            os._exit(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("which", ["", "-wal"], ids=["file", "log"])
@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_no_money_goes_into_a_file_that_nobody_will_find(url, engine, tmp_path, which, how):
    with closing(Ledger(engine, BOOK, spool=tmp_path / "spool", tick_s=3600)) as ledger:
        ledger.settle(ledger.reserve(hold(), wait_s=10).attempt_id, wait_s=10)
        path = Path(f"{engine.url.database}{which}")
        shutil.copy(path, tmp_path / "copy")
        path.unlink()
        if how == "replaced":
            shutil.copy(tmp_path / "copy", path)
        for _ in range(2):
            with pytest.raises(LedgerUnavailable, match=f"{re.escape(path.name)} was {how}"):
                ledger.reserve(hold(), wait_s=10)
        assert how in ledger.problem
    if how == "removed" and not which:
        assert not path.exists(), "no empty ledger is made in its place"


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_log_that_sqlite_itself_made_anew_is_no_other_log(url, engine, tmp_path):
    broken = threading.Event()

    def breaks(moment):
        if moment == "before_commit" and broken.is_set():
            broken.clear()
            raise OSError("the disk")

    with closing(Ledger(engine, BOOK, spool=tmp_path / "spool", tick_s=3600, crashpoint=breaks)) as ledger:
        ledger.reserve(hold(), wait_s=10)
        engine.dispose()  # none but the writer's connection is left
        broken.set()
        with pytest.raises(LedgerUnavailable):
            ledger.reserve(hold(), wait_s=10)
        ledger.reserve(hold(), wait_s=10)
