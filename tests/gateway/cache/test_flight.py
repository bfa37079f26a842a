import threading
import time

import pytest

from gateway.cache.flight import Flights
from gateway.errors import DeadlineExceeded, NoProviderAvailable
from gateway.outcome import Outcome
from gateway.wire.options import Options
from tests.gateway.toys import picture


def outcome_of(name, *, degraded=False):
    return Outcome(name, picture(), Options(), provider="toy", degraded=degraded)


def together(flights, asks, deadline_s=10.0):
    """Each ask in a thread of its own, all under one key, the first before the others. What each got: an id and whether it waited."""
    results = [None] * len(asks)
    begun = threading.Event()

    def fly(nth):
        def ask(_flight):
            begun.set()
            return asks[nth]()

        try:
            outcome, waited = flights.fly("key", ask, lambda outcome: not outcome.degraded, time.monotonic() + deadline_s)
            results[nth] = (outcome.id, waited)
        except Exception as error:  # noqa: BLE001 -- told to the test
            results[nth] = type(error)

    threads = [threading.Thread(target=fly, args=(nth,)) for nth in range(len(asks))]
    threads[0].start()
    begun.wait(5)
    for thread in threads[1:]:
        thread.start()
    for thread in threads:
        thread.join()
    assert flights._flights == {}, "nothing is left behind"
    return results


def test_all_get_what_the_first_brings():
    asked = []

    def ask():
        asked.append(1)
        time.sleep(0.3)
        return outcome_of("one")

    assert together(Flights(), [ask] * 20) == [("one", False), *[("one", True)] * 19]
    assert len(asked) == 1


@pytest.mark.parametrize("first", ["fails", "is degraded"])
def test_where_the_first_brings_nothing_that_serves_exactly_one_asks_next(first):
    asked = []

    def ask():
        asked.append(1)
        time.sleep(0.3)
        if len(asked) == 1 and first == "fails":
            raise NoProviderAvailable("no")
        return outcome_of(f"ask {len(asked)}", degraded=len(asked) == 1)

    results = together(Flights(), [ask] * 20)
    assert results[0] == (NoProviderAvailable if first == "fails" else ("ask 1", False))
    assert sorted(results[1:]) == [("ask 2", False), *[("ask 2", True)] * 18]
    assert len(asked) == 2


def test_nobody_waits_longer_than_its_own_deadline():
    flights = Flights()

    def slow():
        time.sleep(0.6)
        return outcome_of("slow")

    leader = threading.Thread(target=lambda: flights.fly("key", lambda _: slow(), lambda _: True, time.monotonic() + 10))
    leader.start()
    time.sleep(0.1)
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        flights.fly("key", lambda _: slow(), lambda _: True, started + 0.1)
    assert time.monotonic() - started < 0.4
    leader.join()


def test_other_keys_do_not_wait():
    flights = Flights()
    release = threading.Event()

    def held():
        release.wait(5)
        return outcome_of("held")

    leader = threading.Thread(target=lambda: flights.fly("one", lambda _: held(), lambda _: True, time.monotonic() + 10))
    leader.start()
    assert flights.fly("other", lambda _: outcome_of("other"), lambda _: True, time.monotonic() + 1)[0].id == "other"
    release.set()
    leader.join()


def test_those_that_wait_go_on_waiting_while_more_is_on_its_way():
    flights, landers = Flights(), []

    def ask(flight):
        landers.append(flight.hold())
        return outcome_of("in the meantime", degraded=True)

    assert flights.fly("key", ask, lambda _: True, time.monotonic() + 5)[0].id == "in the meantime"
    results = []
    follower = threading.Thread(target=lambda: results.append(flights.fly("key", ask, lambda _: True, time.monotonic() + 30)))
    follower.start()
    landers[0](outcome_of("at last"))
    follower.join()
    assert [(outcome.id, waited) for outcome, waited in results] == [("at last", True)]
    assert len(landers) == 1
    assert flights._flights == {}
