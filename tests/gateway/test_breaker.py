import threading

import pytest

from gateway.breaker import Breaker


@pytest.fixture
def breaker(clock):
    return Breaker(monotonic=clock.monotonic)


def fail(breaker, times, key="aws:objects", passed_at=None):
    """Calls that have just passed, or did so at another time."""
    for _ in range(times):
        breaker.record(key, breaker._monotonic() if passed_at is None else passed_at, healthy=False, reason="failed: 500")


def test_it_opens_on_the_fifth_failure_in_a_row_and_not_on_the_fourth(breaker):
    fail(breaker, 4)
    assert breaker.state("aws:objects") == "closed"
    fail(breaker, 1)
    assert breaker.state("aws:objects") == "open"
    assert breaker.reason("aws:objects") == "failed: 500"
    assert not breaker.allow("aws:objects", probe_s=1)


def test_a_success_in_between_starts_the_count_again(breaker):
    fail(breaker, 4)
    breaker.record("aws:objects", 0.0, healthy=True)
    fail(breaker, 4)
    assert breaker.state("aws:objects") == "closed"


def test_it_opens_when_more_than_half_of_twenty_failed(breaker):
    for nth in range(20):
        breaker.record("aws:objects", 0.0, healthy=nth % 2 == 0 and nth != 10, reason="failed: 500")
    assert breaker.state("aws:objects") == "open"


def test_half_of_twenty_is_not_more_than_half(breaker):
    for nth in range(40):
        breaker.record("aws:objects", 0.0, healthy=nth % 2 == 0)
    assert breaker.state("aws:objects") == "closed"


def test_one_key_says_nothing_about_another(breaker):
    fail(breaker, 5)
    assert breaker.state("aws:text") == "closed"


def test_after_the_rest_one_probe_passes_among_a_hundred_callers(breaker, clock):
    fail(breaker, 5)
    clock.advance(5)
    passed = []
    threads = [threading.Thread(target=lambda: passed.append(breaker.allow("aws:objects", probe_s=1))) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert passed.count(True) == 1


def test_a_probe_that_succeeds_closes_and_one_that_fails_opens_for_twice_as_long(breaker, clock):
    fail(breaker, 5)
    clock.advance(5)
    assert breaker.allow("aws:objects", probe_s=1)
    fail(breaker, 1)
    clock.advance(9.9)
    assert breaker.state("aws:objects") == "open"
    clock.advance(0.1)
    assert breaker.allow("aws:objects", probe_s=1)
    breaker.record("aws:objects", clock.monotonic(), healthy=True)
    assert breaker.state("aws:objects") == "closed"
    fail(breaker, 4)
    assert breaker.state("aws:objects") == "closed", "a closed circuit starts from nothing"


def test_a_probe_that_never_reports_frees_its_place(breaker, clock):
    fail(breaker, 5)
    clock.advance(5)
    assert breaker.allow("aws:objects", probe_s=2)
    assert not breaker.allow("aws:objects", probe_s=2)
    clock.advance(2)
    assert breaker.allow("aws:objects", probe_s=2)


@pytest.mark.parametrize("ends_after_s", [4, 5, 7], ids=["in the rest", "at its end", "while the probe is on its way"])
def test_calls_from_before_it_opened_neither_prolong_the_rest_nor_let_a_second_probe_pass(breaker, clock, ends_after_s):
    before = clock.monotonic() - 1
    fail(breaker, 5)
    clock.advance(min(ends_after_s, 5))
    probing = ends_after_s > 5 and breaker.allow("aws:objects", probe_s=9)
    clock.advance(max(ends_after_s - 5, 0))
    fail(breaker, 10, passed_at=before)
    breaker.leave("aws:objects", before)
    clock.advance(max(5 - ends_after_s, 0))
    assert breaker.state("aws:objects") == "half_open"
    assert breaker.allow("aws:objects", probe_s=9) is not probing


def test_a_probe_that_is_taken_for_lost_and_ends_late_leaves_the_next_one_its_place(breaker, clock):
    fail(breaker, 5)
    clock.advance(5)
    first = clock.monotonic()
    assert breaker.allow("aws:objects", probe_s=2)
    clock.advance(2)
    assert breaker.allow("aws:objects", probe_s=2)
    breaker.leave("aws:objects", first)
    assert not breaker.allow("aws:objects", probe_s=2)
    breaker.leave("aws:objects", clock.monotonic())
    assert breaker.allow("aws:objects", probe_s=2)


def test_a_late_answer_to_a_call_from_before_closes_it_too(breaker, clock):
    fail(breaker, 5)
    breaker.record("aws:objects", 0.0, healthy=True)
    assert breaker.state("aws:objects") == "closed"


def test_asking_whether_it_would_pass_takes_no_probes_place(breaker, clock):
    fail(breaker, 5)
    clock.advance(5)
    assert breaker.would_allow("aws:objects")
    assert breaker.allow("aws:objects", probe_s=1)
    assert not breaker.would_allow("aws:objects")
