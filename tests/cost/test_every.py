"""Real threads and short rounds: what fails is told and ends nothing, and an end is quick."""

import logging
import threading
import time

import pytest
from sqlalchemy.exc import OperationalError

from cost.every import Every
from tests.waiting import until


class Work:
    """Counts its rounds, and fails as it is told."""

    def __init__(self):
        self.rounds, self.error = 0, None

    def __call__(self):
        self.rounds += 1
        if self.error is not None:
            raise self.error

    def goes_on(self, rounds=3):
        """Wait until so many more are done."""
        seen = self.rounds
        until(lambda: self.rounds >= seen + rounds)


@pytest.fixture
def work():
    return Work()


@pytest.fixture
def every(work):
    every = Every(0.01, work, "toys")
    yield every
    every.close()


def told(caplog):
    return [(record.levelno, record.getMessage()) for record in caplog.records]


def test_rounds_go_on_until_it_is_closed_and_then_no_more(every, work):
    work.goes_on()
    every.close()
    done = work.rounds
    time.sleep(0.05)
    assert work.rounds == done


@pytest.mark.usefixtures("every")
def test_failures_end_nothing_and_each_kind_is_told_once_until_a_round_goes_well(work, caplog):
    caplog.set_level(logging.INFO)
    for error in (ValueError("odd"), KeyError("odd"), ValueError("odd")):
        work.error = error
        work.goes_on()
    assert told(caplog) == [(logging.ERROR, "toys.failed")] * 2
    assert [record.error for record in caplog.records] == ["ValueError: odd", "KeyError: 'odd'"]
    assert all(record.exc_info for record in caplog.records)
    work.error = None
    work.goes_on()
    work.error = ValueError("odd")
    work.goes_on()
    assert told(caplog)[2:] == [(logging.INFO, "toys.back"), (logging.ERROR, "toys.failed")]


@pytest.mark.usefixtures("every")
def test_of_a_database_that_is_away_neither_the_traceback_nor_a_clients_values_are_told(work, caplog):
    work.error = OperationalError("INSERT INTO answers VALUES (?)", {"body": "a client's"}, Exception("disk I/O error"))
    work.goes_on()
    (record,) = caplog.records
    assert (record.levelno, record.exc_info) == (logging.WARNING, None)
    assert "disk I/O error" in record.error
    assert "client" not in record.error


def test_it_ends_at_once_though_the_next_round_is_far_away(work):
    every, began = Every(3_600, work, "toys"), time.monotonic()
    every.close()
    assert time.monotonic() - began < 5
    assert work.rounds == 0


def test_its_end_waits_for_the_round_that_is_being_done_which_may_know_of_it():
    begun, ended = threading.Event(), []

    def long_round():
        begun.set()
        until(lambda: every.closing)
        ended.append(True)

    every = Every(0.2, long_round, "toys")
    assert begun.wait(60)
    every.close()
    assert ended == [True]


def test_a_round_may_be_had_at_once_also_after_the_end_and_never_fails(work):
    every = Every(3_600, work, "toys")
    every.now()
    every.close()
    work.error = ValueError("odd")
    every.now()
    assert work.rounds == 2


def test_two_rounds_are_never_done_at_once():
    running, at_once = [], []

    def work():
        running.append(1)
        at_once.append(len(running))
        time.sleep(0.005)
        running.pop()

    every = Every(0.001, work, "toys")
    for _ in range(20):
        every.now()
    every.close()
    assert set(at_once) == {1}
