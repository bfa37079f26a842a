from itertools import pairwise

import pytest

from gateway.throttle import Throttle


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def throttle(clock):
    return Throttle(monotonic=clock)


def sent_in(throttle, clock, seconds, every_s=0.01):
    """How many of many callers, who would each go elsewhere otherwise, have their turn."""
    sent = 0
    for _ in range(round(seconds / every_s)):
        if not throttle.problem():
            sent += throttle.take() is not None
        clock.now += every_s
    return sent


def refused_at(throttle, clock, a_second, wait_s=None):
    """So many calls in one second, and the last of them is refused."""
    began = 0.0
    for _ in range(a_second):
        clock.now += 1 / a_second
        began = throttle.take()
    throttle.refused(began, wait_s)


def test_nothing_is_limited_before_a_refusal(throttle, clock):
    assert sent_in(throttle, clock, 10) == 1000


def test_the_rate_is_halved_grows_by_the_same_with_each_second_and_is_whole_after_ten(throttle, clock):
    refused_at(throttle, clock, 40)
    sent = [sent_in(throttle, clock, 1) for _ in range(10)]
    assert sent[0] == pytest.approx(20, abs=2)
    assert all(later - earlier == pytest.approx(2, abs=2) for earlier, later in pairwise(sent))
    assert sent[-1] == pytest.approx(40, abs=3)
    clock.now += 20
    assert sent_in(throttle, clock, 1) == 100, "no limit any more"


def test_it_is_left_alone_for_as_long_as_it_asks_and_then_asked_by_one(throttle, clock):
    refused_at(throttle, clock, 4, wait_s=7.0)
    assert throttle.problem() == "throttled: it is to be left alone for 7.0 s more"
    assert sent_in(throttle, clock, 6.9) == 0
    clock.now += 0.2
    assert not throttle.problem()
    throttle.take()
    assert throttle.problem() == "throttled: it is asked 2.0 times a second for now"


def test_no_provider_keeps_itself_away_for_hours(throttle, clock):
    refused_at(throttle, clock, 4, wait_s=86_400.0)
    clock.now += 301
    assert not throttle.problem()


def test_calls_that_were_on_their_way_together_halve_the_rate_once(throttle, clock):
    together = [throttle.take() for _ in range(40)]
    for began in together:
        clock.now += 0.001
        throttle.refused(began, None)
    assert sent_in(throttle, clock, 1) == pytest.approx(20, abs=2)


def test_a_refusal_within_the_halved_rate_halves_it_again(throttle, clock):
    refused_at(throttle, clock, 40)
    clock.now += 0.2
    throttle.refused(throttle.take(), None)
    assert sent_in(throttle, clock, 1) == pytest.approx(10, abs=2)


def test_who_asks_out_of_turn_as_a_last_resort_says_nothing_of_the_rate_but_is_heard_about_the_rest(throttle, clock):
    refused_at(throttle, clock, 40, wait_s=1.0)
    for _ in range(30):
        began = throttle.take()
        assert began is None
        throttle.refused(began, 3.0)
    assert "3.0 s more" in throttle.problem()
    clock.now += 3.0
    assert sent_in(throttle, clock, 1) == pytest.approx(20, abs=3)


def test_it_never_becomes_less_than_one_call_in_two_seconds(throttle, clock):
    for _ in range(20):
        throttle.refused(throttle.take(), None)
        clock.now += 2.0
    assert sent_in(throttle, clock, 10) >= 5


def test_a_rate_beyond_what_is_remembered_of_a_second_is_known(throttle, clock):
    refused_at(throttle, clock, 1000)
    assert sent_in(throttle, clock, 1, every_s=0.001) == pytest.approx(500, rel=0.1)
