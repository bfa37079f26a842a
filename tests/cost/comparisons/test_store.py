from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.exc import SQLAlchemyError

from cost.comparisons import BadComparison, Comparison, ComparisonStore, Found, Reply, UnknownComparison
from cost.comparisons import store as store_module
from cost.database import open_database
from cost.money import Money
from tests.waiting import until

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


def record(digest="d" * 64, minute=0, **more):
    replies = {
        "local": Reply((Found("dog", 0.9, (0.1, 0.1, 0.5, 0.5)), Found("dog", 0.4, (0.6, 0.1, 0.9, 0.5))), latency_ms=31.0, model="nano 1"),
        "rekognition": Reply((), Money.usd("0.001"), 380.2, "DetectLabels 3.0"),
        "google_vision": Reply(None, Money.usd("0.00225"), error="timeout"),
    }
    asked = {"feature": "objects", "origin": "escalation", "picture": {"width": 640.0}} | more
    return Comparison(digest=digest, replies=replies, at=NOON + timedelta(minutes=minute), **asked)


@pytest.fixture
def store(engine):
    store = ComparisonStore(engine, every_s=3600)
    yield store
    store.close()


def test_what_was_added_is_read_back_whole_once_it_is_flushed(store):
    one = record(truth=(Found("dog", box=(0.1, 0.1, 0.5, 0.5)),), request_id="r1", source="", reference="rekognition")
    store.add(one)
    assert store.read() == []
    store.flush()
    assert store.read() == [one]
    assert store.get(one.id) == one
    assert store.of_request("r1") == [one]


def test_a_record_is_written_without_anybody_asking_for_it(engine):
    store = ComparisonStore(engine, every_s=0.01)
    store.add(record())
    assert len(until(store.read)) == 1
    store.add(record())
    store.close()
    assert len(store.read()) == 2, "a normal stop loses nothing"


def test_the_latest_that_fit_are_read_oldest_first(store):
    records = [record(minute=k, feature="labels" if k == 3 else "objects", origin="canary" if k == 2 else "compare") for k in range(6)]
    store.write(records)
    assert store.read(feature="objects", limit=3) == [records[2], records[4], records[5]]
    assert store.read(origins=["canary"]) == [records[2]]
    assert store.read(since=NOON + timedelta(minutes=4)) == records[4:]
    assert store.counts() == {("objects", "compare"): 4, ("labels", "compare"): 1, ("objects", "canary"): 1}
    assert list(store.stream(page=4)) == sorted(records, key=lambda r: r.id)


def test_a_record_that_is_known_stays_as_it_is(store):
    one = record()
    assert store.write([one, one]) == 1
    store.judge(one.id, "local", "wrong")
    assert store.write([one, record()]) == 1
    assert store.get(one.id).replies["local"].verdict == "wrong"


def test_a_verdict_and_a_truth_can_be_told_and_taken_back(store):
    one = record()
    store.write([one])
    store.judge(one.id, "rekognition", "correct")
    store.tell_truth(one.id, ())
    told = store.get(one.id)
    assert (told.replies["rekognition"].verdict, told.truth) == ("correct", ())
    store.judge(one.id, "rekognition", None)
    assert store.tell_truth(one.id, None) == one


def test_what_is_not_there_can_not_be_judged(store):
    one = record()
    store.write([one])
    with pytest.raises(UnknownComparison):
        store.judge("none", "local", "wrong")
    with pytest.raises(UnknownComparison):
        store.judge(one.id, "nobody", "wrong")


def test_a_picture_is_forgotten_by_its_digest_also_where_it_still_waits(store):
    store.write([record("a" * 64), record("b" * 64)])
    store.add(record("a" * 64))
    assert store.forget("a" * 64) == 1
    store.flush()
    assert [one.digest for one in store.read()] == ["b" * 64]


def test_the_routers_own_records_make_room_and_those_of_an_experiment_stay(engine):
    store = ComparisonStore(engine, every_s=3600, kept_max=40)
    mine = [record(minute=k) for k in range(60)]
    store.write([record(origin="experiment", source="autumn"), *mine[:30]])
    store.write(mine[30:])
    kept = store.read()
    assert kept[0].source == "autumn"
    assert [one.at for one in kept[1:]] == [one.at for one in mine[20:]]
    store.close()


def test_too_many_that_wait_are_counted_as_lost(store, monkeypatch):
    monkeypatch.setattr(store_module, "WAITING_MAX", 2)
    for _ in range(3):
        store.add(record())
    assert store.lost == 1


def test_while_the_database_is_away_records_wait(tmp_path):
    engine = open_database(f"sqlite:///{tmp_path}/empty.db")  # without tables: as good as away
    store = ComparisonStore(engine, every_s=3600)
    store.add(record())
    with pytest.raises(SQLAlchemyError):
        store.flush()
    assert len(store._waiting) == 1
    store.close()


def test_a_line_is_read_back_to_the_record_it_was_written_from():
    one = record(truth=(Found("dog"),))
    assert Comparison.from_line(one.to_line()) == one
    assert b"pixels" not in one.to_line().encode()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda row: row.pop("digest"),
        lambda row: row.update(at="2026-11-27T12:00:00"),
        lambda row: row.update(origin="gossip"),
        lambda row: row["answers"]["local"].update(verdict="perhaps"),
        lambda row: row["answers"]["local"]["found"][0].update(confidence="high"),
        lambda row: row["answers"]["local"]["found"][0].update(box=[0, 1]),
        lambda row: row["answers"]["local"].update(price_usd="cheap"),
        lambda row: row.update(id="x" * 33),
        lambda row: row.update(answers=[]),
    ],
)
def test_what_is_no_record_is_refused(spoil):
    row = record().to_json()
    spoil(row)
    with pytest.raises(BadComparison):
        Comparison.from_json(row)


@pytest.mark.parametrize("line", ["", "{", "[]", "3"])
def test_a_line_that_is_no_object_is_refused(line):
    with pytest.raises(BadComparison):
        Comparison.from_line(line)


def test_a_truth_may_be_names_alone():
    assert Comparison.from_json({**record().to_json(), "truth": ["dog"]}).truth == (Found("dog"),)
