from datetime import timedelta

import pytest

from gateway.keys import Keys
from gateway.reads import BoundedReads
from gateway.web.sessions import LASTS, Sessions, form_token


@pytest.fixture
def reads():
    reads = BoundedReads()
    yield reads
    reads.close()


def sessions_of(database, reads, clock, bootstrap="bootstrap-key"):
    return Sessions(database, Keys(database, bootstrap, reads=reads, monotonic=clock.monotonic), now=clock.now)


def test_a_session_expires_and_is_forgotten_at_the_next_login(database, reads, clock):
    sessions = sessions_of(database, reads, clock)
    session = sessions.begin("bootstrap-key")
    assert sessions.find(session.token).key.role == "admin"
    clock.advance(LASTS.total_seconds() - 1)
    assert sessions.find(session.token)
    clock.advance(1)
    assert sessions.find(session.token) is None
    sessions.begin("bootstrap-key")
    with database.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM web_session").scalar() == 1


def test_every_replica_knows_a_session_and_its_end(database, reads, clock):
    here, there = sessions_of(database, reads, clock), sessions_of(database, reads, clock)
    session = here.begin("bootstrap-key")
    assert there.find(session.token)
    there.end(session)
    assert here.find(session.token) is None


def test_a_session_ends_when_the_bootstrap_key_is_another(database, reads, clock):
    session = sessions_of(database, reads, clock).begin("bootstrap-key")
    assert sessions_of(database, reads, clock, "another").find(session.token) is None
    assert sessions_of(database, reads, clock, None).find(session.token) is None


def test_a_key_revoked_elsewhere_ends_its_sessions_within_seconds(database, reads, clock):
    sessions = sessions_of(database, reads, clock)
    _, token = Keys(database).create("anna", "finance")
    session = sessions.begin(token)
    Keys(database).revoke("anna")
    clock.advance(timedelta(seconds=6).total_seconds())
    assert sessions.find(session.token) is None


def test_the_form_token_tells_nothing_of_the_session():
    assert form_token("a") != form_token("b")
    assert "secret" not in form_token("secret")
