import concurrent.futures
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from gateway import answers
from gateway.answers import AnswerStore
from gateway.ids import new_id


@pytest.fixture
def make(database):
    made = []

    def make(days=7, **options):
        made.append(AnswerStore(database, days, **options))
        return made[-1]

    yield make
    for store in made:
        store.close()


def test_an_answer_is_found_at_once_by_its_client_and_by_nobody_else(make):
    store, id_ = make(), new_id()
    store.add(id_, "shop", "d" * 64, b'{"id": 1}')
    assert store.find(id_, "shop").body == b'{"id": 1}'
    assert store.find(id_, "other") is None
    store.flush()
    assert store.find(id_, "shop").body == b'{"id": 1}'
    assert store.find(id_, "other") is None


def test_an_answer_of_another_process_is_waited_for_until_it_is_written(make):
    here, there, id_ = make(), make(), new_id()
    there.add(id_, "shop", "d" * 64, b"{}")
    assert here.find(id_, "shop") is not None


def test_what_waits_is_written_at_the_end(make, monkeypatch):
    monkeypatch.setattr(answers, "_EVERY_S", 3_600)
    store, id_ = make(), new_id()
    store.add(id_, "shop", "d" * 64, b"{}")
    store.close()
    assert make().find(id_, "shop") is not None


def test_what_comes_while_others_are_written_waits_for_the_next_time(make, monkeypatch):
    """Else a busy gateway writes without a pause, a few answers a transaction."""
    store, begun = make(), []

    def busy(engine):
        begun.append(store.add(new_id(), "shop", "d" * 64, b"{}"))
        return write_transaction(engine)

    write_transaction = answers.write_transaction
    monkeypatch.setattr(answers, "write_transaction", busy)
    store.add(new_id(), "shop", "d" * 64, b"{}")
    store.flush()
    assert len(begun) <= 2  # this one, and perhaps the store's own thread


def test_under_load_answers_are_written_once_a_pause_and_none_is_lost(make, database, monkeypatch):
    written, write_transaction = [], answers.write_transaction
    monkeypatch.setattr(answers, "write_transaction", lambda engine: written.append(time.monotonic()) or write_transaction(engine))
    store, began = make(), time.monotonic()

    def client(name):
        ids = []
        while time.monotonic() < began + 2.0:
            ids.append(new_id())
            store.add(ids[-1], name, "d" * 64, b"{}")
            time.sleep(0.004)
        return ids

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        sent = {id_ for ids in threads.map(client, "abcd") for id_ in ids}
    assert len(written) <= (time.monotonic() - began) / answers._EVERY_S + 2, "and one that cleans"
    store.flush()
    with database.connect() as connection:
        assert set(connection.execute(sa.select(answers.answers.c.id)).scalars()) == sent
    assert store.lost == 0


def test_a_commit_that_was_done_though_its_connection_broke_holds_up_no_later_answer(make, monkeypatch):
    store, ids, write_transaction = make(), [new_id(), new_id()], answers.write_transaction

    @contextmanager
    def breaks_at_its_end(engine):
        with write_transaction(engine) as connection:
            yield connection
        raise sa.exc.OperationalError("COMMIT", {}, ConnectionError())

    store.add(ids[0], "shop", "d" * 64, b"{}")
    monkeypatch.setattr(answers, "write_transaction", breaks_at_its_end)
    with pytest.raises(sa.exc.OperationalError):
        store.flush()
    monkeypatch.undo()
    store.add(ids[1], "shop", "d" * 64, b"{}")
    store.flush()
    assert all(make().find(id_, "shop") for id_ in ids)


@pytest.mark.parametrize("id_", ["", "x", "batch", "0" * 26, "7" * 26, "ü" * 26, "a" * 5_000])
def test_an_id_of_nobodys_is_not_waited_for(make, id_):
    assert make().find(id_, "shop") is None


def test_answers_are_kept_for_their_days_and_no_more_of_them_than_allowed(make):
    now = datetime.now(UTC)
    store = make(days=2, kept_max=3, now=lambda: now)
    ids = [new_id() for _ in range(6)]
    for id_ in ids:
        store.add(id_, "shop", "d" * 64, b"{}")
        store.flush()
        now += timedelta(seconds=10)
    store.clean()
    assert [store.find(id_, "shop") is not None for id_ in ids] == [False, False, False, True, True, True]
    now += timedelta(days=2)
    assert store.find(ids[-1], "shop") is None, "its days are over, cleaned or not"
    assert store.clean() == 3


def test_where_none_are_kept_none_are_found(make):
    store, id_ = make(days=0), new_id()
    store.add(id_, "shop", "d" * 64, b"{}")
    assert store.find(id_, "shop") is None
