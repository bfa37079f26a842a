import pytest

from gateway.web import attempts
from gateway.web.attempts import FAILURES_MAX, REFILL_S, LoginAttempts


@pytest.fixture
def counted(clock):
    return LoginAttempts(clock.monotonic)


def test_failures_are_forgiven_one_by_one(clock, counted):
    for _ in range(FAILURES_MAX):
        assert counted.wait_s("a") == 0
        counted.failed("a")
    assert 0 < counted.wait_s("a") <= REFILL_S
    assert counted.wait_s("b") == 0
    clock.advance(REFILL_S)
    assert counted.wait_s("a") == 0
    counted.failed("a")
    assert counted.wait_s("a") > 0
    clock.advance(FAILURES_MAX * REFILL_S)
    assert counted.wait_s("a") == 0


def test_many_addresses_do_not_fill_the_memory(monkeypatch, counted):
    monkeypatch.setattr(attempts, "_ADDRESSES_MAX", 3)
    for address in "abcde":
        counted.failed(address)
    assert list(counted._clear_at) == ["c", "d", "e"]
