import threading

import pytest
from sqlalchemy.exc import OperationalError

from gateway.api import streams
from gateway.api.streams import streamed
from gateway.errors import LedgerUnavailable, Overloaded


class Lines:
    """Lines of a kilobyte, which know whether they were let go of."""

    def __init__(self, count, fails_at=None):
        self.count, self.fails_at, self.closed, self.read = count, fails_at, False, 0

    def __call__(self):
        try:
            for number in range(self.count):
                if number == self.fails_at:
                    raise OperationalError("SELECT", {}, Exception("gone"))
                self.read += 1
                yield "x" * 1023 + "\n"
        finally:
            self.closed = True


@pytest.fixture
def places(monkeypatch):
    places = threading.Semaphore(1)
    monkeypatch.setattr(streams, "_PLACES", places)
    monkeypatch.setattr(streams, "_PATIENCE_S", 0.01)
    return places


def test_what_is_small_is_read_to_its_end_before_it_is_sent(places):
    lines = Lines(3)
    response = streamed(lines(), "text/csv", "x.csv")
    assert lines.closed
    assert response.content_length == 3 * 1024
    assert places.acquire(blocking=False)


def test_what_is_large_is_read_while_it_is_sent(places):
    lines = Lines(1_000)
    response = streamed(lines(), "text/csv")
    assert lines.read < 200
    assert not places.acquire(blocking=False)
    assert sum(map(len, response.response)) == 1_000 * 1024
    response.close()
    assert places.acquire(blocking=False)


def test_a_reader_that_goes_away_lets_go_of_the_database(places):
    lines = Lines(1_000)
    response = streamed(lines(), "text/csv")
    response.close()
    response.close()
    assert lines.closed
    assert places.acquire(blocking=False)
    assert not places.acquire(blocking=False)


def test_a_database_that_is_away_at_the_beginning_is_a_problem_document(places):
    with pytest.raises(LedgerUnavailable):
        streamed(Lines(1_000, fails_at=0)(), "text/csv")
    assert places.acquire(blocking=False)


def test_a_failure_in_the_middle_breaks_off_instead_of_ending_a_file_early(places):
    response = streamed(Lines(1_000, fails_at=500)(), "text/csv")
    with pytest.raises(OperationalError):
        list(response.response)
    response.close()


def test_too_many_readers_are_told_to_come_again(places):
    places.acquire()
    with pytest.raises(Overloaded) as caught:
        streamed(Lines(1)(), "text/csv")
    assert caught.value.retry_after_s
