import errno
import fcntl
import json
import os
import zlib
from pathlib import Path

import pytest

from cost.ledger.settlement import Resolve
from cost.ledger.spool import Spool
from cost.money import Money

FIRST = Resolve("a" * 32, "settled", "answered", "request-1", Money(5))
SECOND = Resolve("b" * 32, "released", "refused")


@pytest.fixture
def spool(tmp_path):
    spool = Spool(tmp_path / "spool")
    yield spool
    spool.close()


def replayed(spool):
    seen = []
    spool.replay(seen.extend)
    return seen


def test_what_waits_is_replayed_as_it_was_until_it_was_recorded(spool):
    spool.add(FIRST)
    spool.add(SECOND)

    def database_is_away(_resolves):
        raise ConnectionError

    with pytest.raises(ConnectionError):
        spool.replay(database_is_away)
    assert replayed(spool) == [FIRST, SECOND]
    assert replayed(spool) == []


def test_nothing_is_lost_that_is_added_during_a_replay(spool):
    spool.add(FIRST)
    seen = []

    def slow(resolves):
        spool.add(SECOND)
        seen.extend(resolves)

    spool.replay(slow)
    assert seen == [FIRST]
    assert replayed(spool) == [FIRST, SECOND]


def test_the_file_of_a_process_that_lives_is_its_own_and_that_of_a_dead_one_anybodys(spool, tmp_path):
    other = Spool(tmp_path / "spool")
    other.add(FIRST)
    assert replayed(spool) == []
    other.close()
    assert replayed(spool) == [FIRST]
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_torn_last_line_is_left_out_and_the_others_are_not(spool, tmp_path, caplog):
    other = Spool(tmp_path / "spool")
    other.add(FIRST)
    other.add(SECOND)
    other.close()
    (path,) = (tmp_path / "spool").iterdir()
    path.write_bytes(path.read_bytes()[:-9])
    assert replayed(spool) == [FIRST]
    assert "ledger.spool_line_torn" in caplog.text


def test_a_line_that_does_not_match_its_checksum_is_left_out(spool, tmp_path):
    said = json.dumps(["a" * 32, "settled", "answered", None, 7]).encode()
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "dead.jsonl").write_bytes(b"%08x %s\n" % (zlib.crc32(said), said.replace(b"7", b"0")))
    assert replayed(spool) == []


def test_an_empty_file_is_not_left_behind(spool, tmp_path):
    spool.add(FIRST)
    replayed(spool)
    spool.close()
    assert list((tmp_path / "spool").iterdir()) == []


def test_what_is_added_behind_a_torn_line_is_not_lost_with_it(spool, tmp_path):
    spool.add(FIRST)
    (path,) = (tmp_path / "spool").iterdir()
    path.write_bytes(path.read_bytes()[:-9])
    spool.add(SECOND)
    assert replayed(spool) == [SECOND]


def test_a_disk_that_takes_only_a_part_of_a_line_has_not_taken_it(spool, monkeypatch):
    spool.add(FIRST)
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, line: write(file, line[:20]))
    with pytest.raises(OSError, match="only a part"):
        spool.add(SECOND)
    assert replayed(spool) == [FIRST]


def test_a_new_file_that_another_process_takes_for_a_dead_ones_is_made_again(spool, tmp_path, monkeypatch):
    """Between the making of the file and its lock the other one finds it, locks it first, sees nothing in it and removes it."""
    other, lock = Spool(tmp_path / "spool"), fcntl.flock

    def late(file, how):
        monkeypatch.setattr(fcntl, "flock", lock)
        other.replay(list)
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    spool.add(FIRST)
    assert replayed(spool) == [FIRST]


def test_a_file_that_can_not_be_read_keeps_no_other_waiting(spool, tmp_path):
    for name, resolve in (("a", FIRST), ("z", SECOND)):
        other = Spool(tmp_path / "spool")
        other.add(resolve)
        other.close()
        next(path for path in (tmp_path / "spool").glob("0*.jsonl")).rename(tmp_path / "spool" / f"{name}.jsonl")
    (tmp_path / "spool" / "b.jsonl").mkdir()
    assert replayed(spool) == [FIRST, SECOND]
    assert "b.jsonl" in spool.problem
    (tmp_path / "spool" / "b.jsonl").rmdir()
    assert replayed(spool) == []
    assert spool.problem is None


def test_a_file_that_can_not_be_removed_is_told_too(spool, tmp_path, monkeypatch):
    other = Spool(tmp_path / "spool")
    other.add(FIRST)
    other.close()

    def refused(path, **_):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "unlink", refused)
    assert replayed(spool) == [FIRST]
    assert "Permission denied" in spool.problem
    monkeypatch.undo()
    assert replayed(spool) == [FIRST], "what was recorded before is recorded again, which changes nothing"
    assert spool.problem is None


def test_of_several_that_can_not_be_read_each_is_told_once(spool, tmp_path, caplog):
    strangers = [tmp_path / "spool" / f"{name}.jsonl" for name in ("a", "b")]
    for stranger in strangers:
        stranger.mkdir(parents=True)
    for _ in range(3):
        assert replayed(spool) == []
    assert [record.file for record in caplog.records] == [str(stranger) for stranger in strangers]
    strangers[0].rmdir()
    assert replayed(spool) == []
    assert "b.jsonl" in spool.problem
    assert len(caplog.records) == 2
