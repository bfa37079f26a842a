import threading

from cost.ledger.flights import Boarded, Flying, Landed

KEY = "k" * 64


def test_the_first_asks_the_others_hear_that_it_flies_and_then_what_it_brought(ledger):
    assert ledger.flights.board(KEY, "one", 3) == Boarded(1)
    assert ledger.flights.board(KEY, "two", 3) == Flying()
    assert ledger.flights.is_flying(KEY)
    assert ledger.flights.board(KEY, "one", 3) == Flying(), "another thread of the same process waits too"
    ledger.flights.land(KEY, "one", 1, b"dogs", 3600)
    assert ledger.flights.board(KEY, "two", 3) == Landed(b"dogs")


def test_a_flight_that_failed_is_free_at_once(ledger):
    ledger.flights.board(KEY, "one", 3)
    ledger.flights.fail(KEY, "one", 1)
    assert isinstance(ledger.flights.board(KEY, "two", 3), Boarded)


def test_a_dead_owners_flight_is_taken_by_one_and_the_dead_can_not_land_it(ledger, clock):
    ledger.flights.board(KEY, "dead", 3)
    clock.advance(seconds=4)
    assert ledger.flights.board(KEY, "two", 3) == Boarded(2)
    assert ledger.flights.board(KEY, "three", 3) == Flying()
    ledger.flights.land(KEY, "dead", 1, b"too late", 3600)
    ledger.flights.fail(KEY, "dead", 1)
    assert ledger.flights.board(KEY, "three", 3) == Flying()
    ledger.flights.land(KEY, "two", 2, b"dogs", 3600)
    assert ledger.flights.board(KEY, "three", 3) == Landed(b"dogs")


def test_an_owner_that_says_that_it_lives_keeps_all_its_flights(ledger, clock):
    other = "o" * 64
    ledger.flights.board(KEY, "one", 3)
    ledger.flights.board(other, "one", 3)
    ledger.flights.board("forgotten", "one", 3)
    for _ in range(3):
        clock.advance(seconds=2)
        ledger.flights.renew([KEY, other], "one", 3)
    assert {ledger.flights.board(key, "two", 3) for key in (KEY, other)} == {Flying()}
    assert ledger.flights.board("forgotten", "two", 3) == Boarded(2)


def test_what_has_landed_is_forgotten_after_a_minute_and_swept(ledger, clock, engine):
    ledger.flights.board(KEY, "one", 3)
    ledger.flights.land(KEY, "one", 1, b"dogs", 3600)
    clock.advance(seconds=61)
    assert ledger.flights.board(KEY, "two", 3) == Boarded(2)
    clock.advance(seconds=120)
    ledger.sweep()
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM flights").scalar() == 0


def test_what_has_landed_is_good_no_longer_than_it_was_said_to_be_and_can_be_discarded(ledger, clock):
    ledger.flights.board(KEY, "one", 3)
    ledger.flights.land(KEY, "one", 1, b"dogs", 5)
    clock.advance(seconds=6)
    assert ledger.flights.board(KEY, "two", 3) == Boarded(2)
    ledger.flights.discard(KEY)
    assert ledger.flights.board(KEY, "three", 3) == Flying(), "what flies is not discarded"
    ledger.flights.land(KEY, "two", 2, b"cats", 5)
    ledger.flights.discard(KEY)
    assert isinstance(ledger.flights.board(KEY, "three", 3), Boarded)


def test_of_many_that_board_in_the_same_moment_one_does(ledger):
    boarded = []

    def board(nth):
        boarded.append(ledger.flights.board(KEY, f"owner {nth}", 3))

    threads = [threading.Thread(target=board, args=(nth,)) for nth in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(type(flight).__name__ for flight in boarded) == ["Boarded", *["Flying"] * 15]
