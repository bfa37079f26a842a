"""Drift in the database: what one process writes, one of many holds against the reference and tells."""

import hashlib
import hmac
import http.server
import json
import threading
import time
from itertools import islice

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from cost.alerts import SIGNATURE_HEADER
from cost.database import write_transaction
from gateway.monitoring.lease import Lease
from gateway.monitoring.quality import QualityNotes, write_seen
from gateway.monitoring.schema import metadata, observations
from gateway.monitoring.watch import QualityWatch
from gateway.outcome import AnsweredCall, Outcome
from gateway.pictures import KeptPictures
from gateway.webhook import Webhook
from gateway.wire.options import Options
from providers.contract import BoundingBox, Detection
from tests.gateway.monitoring.streams import stream
from tests.gateway.toys import FREE, picture
from tests.waiting import until


@pytest.fixture
def watch(database):
    watch = QualityWatch(database, Webhook(None, None), every_s=3_600, reference=200)
    yield watch
    watch.close()


def write(database, pictures, provider="rekognition") -> None:
    rows = [{"provider": provider, "feature": "objects", "digest": seen.digest, "seen": write_seen(seen)} for seen in pictures]
    with write_transaction(database) as connection:
        connection.execute(sa.insert(observations), rows)


def test_the_tables_are_those_of_the_migrations(database):
    with database.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection), metadata)
    assert not [one for one in found if any(name in str(one) for name in metadata.tables)]


def test_what_has_moved_is_alarmed_once_and_ends_when_it_is_back(database, watch):
    write(database, islice(stream(1), 300))
    assert watch.check() == []
    write(database, islice(stream(2, confidence=0.6), 400))
    assert [(one.provider, one.feature, one.name) for one in watch.check()] == [("rekognition", "objects", "confidence")]
    write(database, islice(stream(3, confidence=0.6), 25))
    assert watch.check() == []
    write(database, islice(stream(4), 400))
    assert watch.check() == []
    assert all(one.ended_at for one in watch.alarms())


def test_the_new_normal_ends_the_alarms_and_is_learned_from_the_next_pictures(database, watch):
    write(database, islice(stream(1), 300))
    watch.check()
    write(database, islice(stream(2, at_night=True), 100))
    assert watch.check()
    watch.accept("rekognition", "objects")
    assert all(one.ended_at for one in watch.alarms())
    write(database, islice(stream(3, at_night=True), 300))
    assert watch.check() == []
    assert [one.watched for one in watch.streams()] == [True]
    write(database, islice(stream(4), 100))
    assert "brightness" in {one.name for one in watch.check()}


def test_streams_do_not_disturb_each_other(database, watch):
    write(database, islice(stream(1), 300), "rekognition")
    write(database, islice(stream(2), 300), "google_vision")
    watch.check()
    write(database, islice(stream(3, renamed=str.title), 100), "google_vision")
    write(database, islice(stream(4), 100), "rekognition")
    assert {(one.provider, one.name) for one in watch.check()} == {("google_vision", "labels")}


def test_of_many_processes_one_watches_and_another_goes_on_when_it_is_gone(database):
    first, second = Lease(database, "job", 60), Lease(database, "job", 60)
    assert [first.hold(), second.hold(), first.hold()] == [True, False, True]
    first.give_back()
    assert [second.hold(), first.hold()] == [True, False]
    dead = Lease(database, "other", -1)
    assert dead.hold()
    assert Lease(database, "other", 60).hold()


def test_only_who_holds_the_lease_looks(database):
    holder = Lease(database, "quality", 60)
    assert holder.hold()
    watch = QualityWatch(database, Webhook(None, None), every_s=0.01, reference=200)
    looks = []
    watch.check = lambda: looks.append(1)
    time.sleep(0.2)
    assert looks == []
    holder.give_back()
    until(lambda: looks, within_s=10)
    watch.close()


def test_the_webhook_gets_each_alarm_signed_and_again_until_it_takes_it(database):
    got, statuses = [], [503, 200, 200]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            got.append((self.headers[SIGNATURE_HEADER], self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(statuses.pop(0))
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    watch = QualityWatch(database, Webhook(f"http://127.0.0.1:{server.server_port}", "secret"), every_s=3_600, reference=200)
    write(database, islice(stream(1), 300))
    watch.check()
    write(database, islice(stream(2, confidence=0.5), 100))
    watch.check()
    watch.check()
    watch.check()
    watch.close()
    server.shutdown()
    server.server_close()
    assert len(got) == 2
    assert got[0][1] == got[1][1]
    signature, body = got[1]
    timestamp, _, digest = signature.removeprefix("t=").partition(",v1=")
    assert hmac.compare_digest(hmac.new(b"secret", f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest(), digest)
    message = json.loads(body)
    assert (message["event"], message["property"], message["provider"]) == ("quality.drift", "confidence", "rekognition")


@pytest.mark.parametrize(("cache", "rows"), [("miss", 1), ("off", 1), ("hit", 0), ("joined", 0)])
def test_a_picture_is_noted_when_it_was_asked_about_and_not_when_its_answer_was_kept(database, cache, rows):
    notes = QualityNotes(database, KeptPictures(database, 1))
    image = picture()
    found = (Detection("objects", "dog", 0.9, BoundingBox(0, 0, 1, 1), "toy", "Dog"),)
    call = AnsweredCall("toy", frozenset({"objects"}), "1", (), FREE)
    notes.add(image, Outcome("id", image, Options(), found, provider="toy", cache=cache, calls=(call,)))
    notes.close()
    with database.connect() as connection:
        written = connection.execute(sa.select(observations)).all()
    assert len(written) == rows
    if rows:
        seen = json.loads(written[0].seen)
        assert seen["labels"] == ["dog"]
        assert seen["values"]["boxes"] == 1
        assert seen["values"]["brightness"] == pytest.approx(0.5, abs=0.01)
        assert KeptPictures(database, 1).get(image.digest) is not None
    assert KeptPictures(database, 0).get(image.digest) is None


class FullDisk(KeptPictures):
    """Takes no picture, in a way that no database has."""

    def keep(self, jpegs):
        raise OverflowError("no room")


def test_notes_that_can_not_be_written_are_lost_and_later_ones_are_not(database, monkeypatch, caplog):
    monkeypatch.setattr("gateway.monitoring.quality._WRITTEN_EVERY_S", 0.01)
    notes = QualityNotes(database, FullDisk(database, 1))
    call = AnsweredCall("toy", frozenset({"objects"}), "1", (), FREE)
    for _ in range(2):
        image = picture()
        notes.add(image, Outcome("id", image, Options(), (), provider="toy", calls=(call,)))
        until(lambda: "quality.not_written" in caplog.text, within_s=10)
        caplog.clear()
    notes.close()
