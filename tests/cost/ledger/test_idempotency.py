import threading
from dataclasses import replace

import pytest

from cost.ledger import (
    AlreadyAnswered,
    Budget,
    BudgetExhausted,
    IdempotencyKey,
    RequestMismatch,
    RequestRunning,
    SavedAnswer,
)
from cost.money import FREE, Money
from tests.cost.sheets import FLAT, hold

KEY = IdempotencyKey("shop", "order-17", "f" * 64)
ANSWER = SavedAnswer("first", 200, b'{"detections": []}')


def test_a_repeat_gets_the_same_answer_and_is_not_charged(ledger):
    ledger.settle(ledger.reserve(hold(request_id="first"), key=KEY).attempt_id)
    ledger.save_answer(KEY, ANSWER)
    for again in (lambda: ledger.reserve(hold(request_id="second"), key=KEY), lambda: ledger.claim(KEY, "second", 10)):
        with pytest.raises(AlreadyAnswered) as caught:
            again()
        assert caught.value.answer == ANSWER
    assert ledger.month_to_date_units("flat") == {"SKU": 1}


def test_while_the_first_runs_a_repeat_is_told_to_wait(ledger, clock):
    ledger.claim(KEY, "first", 10)
    clock.advance(seconds=5)
    with pytest.raises(RequestRunning) as caught:
        ledger.reserve(hold(request_id="second"), key=KEY)
    assert 5 <= caught.value.retry_after_s <= 40
    assert ledger.month_to_date_units("flat") == {"SKU": 0}


def test_the_owner_may_claim_again_and_make_several_attempts(ledger):
    ledger.claim(KEY, "first", 10)
    ledger.claim(KEY, "first", 10)
    ledger.reserve(hold(request_id="first"), key=KEY)
    ledger.reserve(hold(request_id="first"), key=KEY)


def test_the_same_key_with_another_request_is_a_mismatch_running_or_answered(ledger):
    other = replace(KEY, fingerprint="e" * 64)
    ledger.claim(KEY, "first", 10)
    with pytest.raises(RequestMismatch):
        ledger.claim(other, "second", 10)
    ledger.save_answer(KEY, ANSWER)
    with pytest.raises(RequestMismatch):
        ledger.reserve(hold(request_id="second"), key=other)


def test_keys_belong_to_their_client(ledger):
    ledger.claim(KEY, "first", 10)
    ledger.claim(replace(KEY, client="another"), "second", 10)


def test_a_key_is_kept_a_day(ledger, clock):
    ledger.claim(KEY, "first", 10)
    ledger.save_answer(KEY, ANSWER)
    clock.advance(hours=23, minutes=59, seconds=59)
    with pytest.raises(AlreadyAnswered):
        ledger.claim(KEY, "second", 10)
    clock.advance(seconds=1)
    ledger.claim(replace(KEY, fingerprint="e" * 64), "third", 10)


def test_expired_keys_are_swept_away(ledger, clock, engine):
    ledger.claim(KEY, "first", 10)
    clock.advance(hours=25)
    ledger.sweep()
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM idempotency_keys").scalar() == 0


def test_a_key_whose_owner_died_is_free_after_its_time_for_one_that_pays_itself(ledger, clock):
    ledger.reserve(hold(request_id="dead"), key=KEY)
    clock.advance(seconds=41)
    ledger.reserve(hold(request_id="second"), key=KEY)
    ledger.save_answer(KEY, replace(ANSWER, request_id="dead"))  # too late
    with pytest.raises(RequestRunning):
        ledger.claim(KEY, "third", 10)
    assert ledger.month_to_date_units("flat") == {"SKU": 2}


def test_a_refused_hold_leaves_no_key_behind_that_it_claimed(ledger):
    ledger.put_budget(Budget("none", "global", "", "day", "UTC", FREE))
    with pytest.raises(BudgetExhausted):
        ledger.reserve(hold(request_id="first"), key=KEY)
    ledger.delete_budget("none")
    ledger.reserve(hold(request_id="second"), key=KEY)


def test_and_keeps_the_one_that_was_claimed_before(ledger):
    ledger.put_budget(Budget("none", "global", "", "day", "UTC", FREE))
    ledger.claim(KEY, "first", 10)
    with pytest.raises(BudgetExhausted):
        ledger.reserve(hold(request_id="first"), key=KEY)
    with pytest.raises(RequestRunning):
        ledger.claim(KEY, "second", 10)


def test_a_freed_key_is_anybodys_and_only_its_owner_frees_it(ledger):
    ledger.claim(KEY, "first", 10)
    ledger.free_key(KEY, "second")
    with pytest.raises(RequestRunning):
        ledger.claim(KEY, "second", 10)
    ledger.free_key(KEY, "first")
    ledger.claim(KEY, "second", 10)


def test_of_fifty_at_once_one_is_charged(ledger):
    ledger.put_budget(Budget("all", "global", "", "day", "UTC", Money(50 * FLAT)))
    outcomes = []

    def post(number):
        try:
            ledger.reserve(hold(request_id=f"request-{number}"), key=KEY, wait_s=20)
            outcomes.append("held")
        except RequestRunning:
            outcomes.append("running")

    threads = [threading.Thread(target=post, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["held"] + ["running"] * 49
    assert ledger.budgets()[0].reserved == Money(FLAT)
