import pytest

from gateway.retries import RetryBudget, call_with_retries
from providers.errors import ProviderError, ProviderFailed, ProviderThrottled, ProviderTimeout


def failing(error, times):
    calls = []

    def call():
        calls.append(1)
        if len(calls) <= times:
            raise error
        return "answer"

    return call, calls


def test_a_throttled_call_is_made_twice_and_never_three_times():
    call, calls = failing(ProviderThrottled("slow down"), times=9)
    with pytest.raises(ProviderThrottled):
        call_with_retries(call, RetryBudget(), lambda: 10)
    assert len(calls) == 2


@pytest.mark.parametrize("error", [ProviderFailed("500"), ProviderTimeout("late"), ProviderError("?")], ids=lambda e: type(e).__name__)
def test_what_may_have_been_billed_is_made_once(error):
    call, calls = failing(error, times=1)
    with pytest.raises(type(error)):
        call_with_retries(call, RetryBudget(), lambda: 10)
    assert len(calls) == 1


def test_there_is_no_second_try_without_time_for_it():
    call, calls = failing(ProviderThrottled("slow down", retry_after_s=2), times=1)
    with pytest.raises(ProviderThrottled):
        call_with_retries(call, RetryBudget(), lambda: 1.9)
    assert len(calls) == 1


def test_under_steady_failure_at_most_one_call_in_five_is_a_retry():
    budget, made = RetryBudget(), 0
    for _ in range(500):
        call, calls = failing(ProviderThrottled("slow down"), times=9)
        with pytest.raises(ProviderThrottled):
            call_with_retries(call, budget, lambda: 10)
        made += len(calls)
    assert made <= 500 * 1.2 + 2


def test_an_exception_that_is_no_provider_error_is_not_ours_to_retry():
    call, calls = failing(KeyError("bug"), times=1)
    with pytest.raises(KeyError):
        call_with_retries(call, RetryBudget(), lambda: 10)
    assert len(calls) == 1
