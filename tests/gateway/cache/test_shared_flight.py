"""What happens at the edges of a lease and of a request's time, with a desk that does as it is told."""

import time

import pytest

from cost.ledger import LedgerUnavailable
from cost.ledger.flights import Boarded, Flying, Landed
from gateway.cache.flight import StillFlying
from gateway.cache.shared_flight import Brought, SharedFlights, Ticket
from gateway.reads import BoundedReads
from tests.waiting import until


class Desk:
    """Answers each boarding with the next of `flights`; an error is raised once the time is over, or at once where the desk `is_away`.

    Notes what is renewed and landed.
    """

    def __init__(self):
        self.flights, self.renewed, self.landed = [], [], []
        self.is_away = False

    def board(self, _key, _owner, _lease_s, within_s):
        flight = self.flights.pop(0)
        if isinstance(flight, Exception):
            time.sleep(0 if self.is_away else within_s)
            raise flight
        return flight

    def is_flying(self, _key):
        return False

    def renew(self, keys, _owner, _lease_s):
        if self.is_away:
            raise ConnectionError("away")
        self.renewed.append(list(keys))

    def land(self, _key, _owner, fence, value, _good_s):
        self.landed.append((fence, value))


@pytest.fixture
def desk():
    return Desk()


@pytest.fixture
def flights(desk):
    class Ledger:
        flights = desk

    reads = BoundedReads()
    flights = SharedFlights(Ledger(), reads, good_s=60, lease_s=0.04)
    yield flights
    flights.close()
    reads.close()


def board(flights, within_s=0.1):
    return flights.board("key", time.monotonic() + within_s)


def is_renewed(desk):
    seen = len(desk.renewed)
    until(lambda: len(desk.renewed) > seen + 1, within_s=10)


def test_a_lease_is_renewed_until_its_flight_has_landed(flights, desk):
    desk.flights = [Boarded(1)]
    ticket = board(flights)
    is_renewed(desk)
    ticket.land(b"value")
    assert desk.landed == [(1, b"value")]
    time.sleep(0.05)  # one renewal may be under way
    seen = len(desk.renewed)
    time.sleep(0.1)
    assert len(desk.renewed) == seen


def test_who_was_taken_to_be_dead_and_lands_late_ends_no_later_flights_lease(flights, desk):
    """The process had stalled; a second request of it boarded in the first one's place."""
    desk.flights = [Boarded(1), Boarded(2)]
    first, second = board(flights), board(flights)
    first.land(b"late")
    is_renewed(desk)
    second.land(b"value")
    assert desk.landed == [(1, b"late"), (2, b"value")]


def test_a_renewal_that_fails_is_not_the_last(flights, desk):
    desk.flights, desk.is_away = [Boarded(1)], True
    ticket = board(flights)
    time.sleep(0.1)
    desk.is_away = False
    is_renewed(desk)
    ticket.land(b"value")


def test_who_has_waited_and_has_no_time_left_to_board_does_not_ask_as_well(flights, desk):
    """The flight it waited for brought nothing. Many others wait, too: one of them boards, and would be one of many that pay."""
    desk.flights = [Flying(), LedgerUnavailable("no commit within 0.1 s")]
    with pytest.raises(StillFlying):
        board(flights)


def test_without_the_database_whoever_has_time_asks(flights, desk):
    desk.flights = [LedgerUnavailable("away")]
    ticket = board(flights, within_s=0)
    assert isinstance(ticket, Ticket)
    ticket.land(b"value")
    assert desk.landed == []


def test_who_has_waited_and_has_time_left_asks_where_the_database_is_away_by_then(flights, desk):
    desk.flights, desk.is_away = [Flying(), LedgerUnavailable("away")], True
    assert isinstance(board(flights, within_s=60), Ticket)


def test_what_has_landed_is_brought_and_who_waited_for_it_knows(flights, desk):
    desk.flights = [Landed(b"value"), Flying(), Landed(b"value")]
    assert [board(flights), board(flights)] == [Brought(b"value", waited=False), Brought(b"value", waited=True)]
