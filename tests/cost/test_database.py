import os
import threading

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from cost.database import BadDatabase, file_system_of, has_wal_reset_bug, open_database, refuse_damaged, write_transaction


@pytest.fixture
def engine(tmp_path):
    engine = open_database(f"sqlite:///{tmp_path}/folder/of/its/own/gateway.db")
    yield engine
    engine.dispose()


def pragma(connection, name):
    return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


def test_sqlite_is_set_up_so_that_money_is_safe_in_it(engine):
    with engine.connect() as connection:
        found = {name: pragma(connection, name) for name in ("journal_mode", "synchronous", "foreign_keys", "trusted_schema")}
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "trusted_schema": 0}


@pytest.mark.parametrize(
    ("version", "broken"),
    [
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 3), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 52, 0), False),
        ((3, 53, 4), False),
    ],
)
def test_an_sqlite_that_may_corrupt_is_known(version, broken):
    assert has_wal_reset_bug(version) is broken


def test_and_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr("cost.database.sqlite.sqlite_version_info", (3, 51, 2))
    with pytest.raises(BadDatabase, match=r"3\.51\.3 or later"):
        open_database(f"sqlite:///{tmp_path}/gateway.db")


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://host/db", "postgresql://host/db"])
def test_what_is_no_place_for_money_is_refused(url):
    with pytest.raises(BadDatabase):
        open_database(url)


def test_a_network_file_system_is_recognised_by_the_deepest_mount(tmp_path):
    mounts = tmp_path / "mounts"
    mounts.write_text("/dev/root / ext4 rw 0 0\nserver:/x /mnt/my\\040share nfs4 rw 0 0\n/dev/b /mnt/my\\040share/local ext4 rw 0 0\n")
    assert [file_system_of(tmp_path.__class__(path), mounts) for path in ("/mnt/my share/var", "/mnt/my share/local/x", "/home")] == [
        "nfs4",
        "ext4",
        "ext4",
    ]
    assert file_system_of(tmp_path, tmp_path / "none") == ""


def test_a_file_on_a_network_file_system_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr("cost.database.file_system_of", lambda *_: "nfs4")
    with pytest.raises(BadDatabase, match="nfs4"):
        open_database(f"sqlite:///{tmp_path}/gateway.db")


def test_a_transaction_that_reads_and_then_writes_waits_for_its_turn(engine):
    """A deferred one would fail at once, whatever the busy timeout."""
    with write_transaction(engine) as connection:
        connection.execute(text("CREATE TABLE counter (n INTEGER)"))
        connection.execute(text("INSERT INTO counter VALUES (0)"))

    def count():
        for _ in range(20):
            with write_transaction(engine) as connection:
                n = connection.execute(text("SELECT n FROM counter")).scalar_one()
                connection.execute(text("UPDATE counter SET n = :n"), {"n": n + 1})

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with engine.connect() as connection:
        assert connection.execute(text("SELECT n FROM counter")).scalar_one() == 80


def test_a_block_that_raises_writes_nothing(engine):
    def fail_after_writing():
        with write_transaction(engine) as connection:
            connection.execute(text("CREATE TABLE t (n INTEGER)"))
            connection.execute(text("SELECT * FROM nowhere"))

    with pytest.raises(OperationalError):
        fail_after_writing()
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM sqlite_master")).scalar_one() == 0


def test_a_forked_child_gets_a_connection_of_its_own(engine):
    with engine.connect() as connection:
        before = id(connection.connection.dbapi_connection)
    child = os.fork()
    if child == 0:
        with engine.connect() as connection:
            os._exit(0 if id(connection.connection.dbapi_connection) != before else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_damaged_file_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "gateway.db"
    engine = open_database(f"sqlite:///{path}")
    refuse_damaged(engine)
    with write_transaction(engine) as connection:
        connection.execute(text("CREATE TABLE t (a TEXT)"))
        connection.execute(text("INSERT INTO t VALUES (:a)"), [{"a": "x" * 3_000}] * 20)
    refuse_damaged(engine)
    engine.dispose()
    content = bytearray(path.read_bytes())
    content[5 * 4096 : 6 * 4096] = bytes(range(256)) * 16
    path.write_bytes(content)
    engine = open_database(f"sqlite:///{path}")
    with pytest.raises(BadDatabase, match="damaged"):
        refuse_damaged(engine)
    engine.dispose()
    assert path.read_bytes() == content
