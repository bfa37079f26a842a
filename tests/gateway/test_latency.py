import pytest

from gateway.latency import LatencyTracker


@pytest.fixture
def latency(clock):
    return LatencyTracker(monotonic=clock.monotonic)


def test_nothing_is_known_of_who_never_answered(latency):
    assert latency.quantile_ms("local:objects", 0.95) is None
    assert latency.keys("local") == []


def test_quantiles_are_of_the_answers_seen(latency):
    for ms in range(1, 101):
        latency.record("local:objects", ms)
    assert latency.quantile_ms("local:objects", 0.5) == 51
    assert latency.quantile_ms("local:objects", 0.95) == 96
    assert latency.quantile_ms("local:objects", 1.0) == 100


def test_what_is_older_than_ten_minutes_is_forgotten(latency, clock):
    latency.record("local:objects", 9_000)
    clock.advance(601)
    latency.record("local:objects", 10)
    assert latency.quantile_ms("local:objects", 1.0) == 10


def test_only_the_last_512_count(latency):
    for ms in [9_000] * 100 + [10] * 512:
        latency.record("local:objects", ms)
    assert latency.quantile_ms("local:objects", 1.0) == 10
