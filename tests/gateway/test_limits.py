import time

import pytest

from gateway.cache.link import RedisStore
from gateway.errors import RateLimited
from gateway.keys import Key
from gateway.limits import RateLimits, until_free_s
from tests.gateway.cache.conftest import one_valkey  # noqa: F401 -- a fixture


@pytest.fixture
def store(request):
    store = RedisStore(request.getfixturevalue("one_valkey").url, 8)
    store._client.flushall()
    yield store
    store.close()


@pytest.fixture(params=["here", "together", "its Redis is dead"])
def limits(request):
    """One test body, wherever it is counted."""
    if request.param == "together":
        yield RateLimits(request.getfixturevalue("store"))
        return
    limits = RateLimits(RedisStore("redis://127.0.0.1:1", 8) if request.param == "its Redis is dead" else None)
    yield limits
    limits.close()


def key_of(name="one", **limit):
    return Key(name, name, "app", **limit)


def passed(check, times):
    count = 0
    for _ in range(times):
        try:
            check()
            count += 1
        except RateLimited:
            continue
    return count


def at_the_start_of_a_second():
    time.sleep(1 - time.time() % 1 + 0.02)


def test_a_key_without_limits_is_never_counted(limits):
    key = key_of()
    assert passed(lambda: (limits.request(key), limits.pixels(key, 10**9)), 100) == 100


def test_requests_over_the_limit_wait_for_the_next_second(limits):
    key = key_of(requests_per_s=5)
    at_the_start_of_a_second()
    assert 5 <= passed(lambda: limits.request(key), 12) <= 10
    assert passed(lambda: limits.request(key_of("another", requests_per_s=5)), 5) == 5, "each key has its own"
    time.sleep(2.1)
    assert passed(lambda: limits.request(key), 5) == 5


def test_pixels_are_counted_by_the_picture_and_a_larger_one_passes_alone(limits):
    key = key_of(pixels_per_s=1_000_000)
    at_the_start_of_a_second()
    assert 3 <= passed(lambda: limits.pixels(key, 300_000), 8) <= 6
    other = key_of("another", pixels_per_s=1_000_000)
    at_the_start_of_a_second()
    assert 1 <= passed(lambda: limits.pixels(other, 40_000_000), 3) <= 2


def test_replicas_count_together(store):
    replicas = [RateLimits(store) for _ in range(3)]
    key = key_of(requests_per_s=6)
    at_the_start_of_a_second()
    assert sum(passed(lambda one=one: one.request(key), 6) for one in replicas) <= 12


@pytest.mark.parametrize(("limit", "cost"), [(1_000_000, 900_000), (3, 1)])
def test_who_waits_as_long_as_it_is_told_passes(limits, limit, cost):
    key = key_of(pixels_per_s=limit)
    at_the_start_of_a_second()
    assert passed(lambda: limits.pixels(key, cost), limit // cost) == limit // cost
    with pytest.raises(RateLimited) as told:
        limits.pixels(key, cost)
    assert f"a second. Send it again in {told.value.retry_after_s} s." in told.value.detail
    time.sleep(told.value.retry_after_s)
    limits.pixels(key, cost)


def test_the_wait_is_until_all_of_the_next_has_room():
    assert until_free_s(0, 0, 0.0, 10, 1.9) == pytest.approx(1.8), "the second that ends and a tenth of one less than the next"
    assert until_free_s(4, 10, 0.9, 0, 0.0) == pytest.approx(0.4), "half of what came before has faded by then"
    assert until_free_s(9, 0, 0.0, 5, 1.0) == 0.0, "who was refused a moment ago, and may now"
