"""A request's time and money over all that is asked for it."""

import contextlib
import functools
import threading
import time
from datetime import date

import pytest

from cost.ledger import Budget, IdempotencyKey
from cost.money import FREE, Money
from gateway import errors
from gateway.ids import new_id
from gateway.metering import Bill
from gateway.wire.options import Options
from providers.errors import (
    ProviderFailed,
)
from tests.gateway.toys import Toy, ask, outcomes, picture, raises, seen_ms, sleeps


def test_a_late_provider_leaves_time_for_the_next_one(toybox):
    dispatcher = toybox.dispatcher(Toy("rekognition", toybox.hang), Toy("local"))
    seen_ms(dispatcher.lines["local"], "objects", 1_500)
    outcome = ask(dispatcher, deadline_ms=3_000)
    assert outcome.provider == "local"
    assert outcomes(outcome) == [("rekognition", "late"), ("local", "answered")]


def test_a_late_answer_still_wins_when_the_next_one_is_later(toybox):
    asked_next = threading.Event()

    def next_is_later(nth):
        asked_next.set()
        toybox.hang(nth)

    dispatcher = toybox.dispatcher(Toy("rekognition", lambda _: asked_next.wait(60)), Toy("local", next_is_later))
    seen_ms(dispatcher.lines["local"], "objects", 1_500)
    outcome = ask(dispatcher, deadline_ms=3_000)
    assert outcome.provider == "rekognition"
    assert not outcome.degraded


def test_the_in_house_model_is_asked_as_soon_as_a_paid_answer_is_later_than_usual(toybox):
    dispatcher = toybox.dispatcher(Toy("rekognition", toybox.hang), Toy("local"))
    seen_ms(dispatcher.lines["rekognition"], "objects", 20)
    outcome = ask(dispatcher, deadline_ms=60_000)
    assert outcome.provider == "local"
    assert outcome.latency_ms < 30_000, "hedged after the usual time, not at the end of the deadline"


def test_a_second_paid_provider_is_hedged_to_only_when_the_request_asks(toybox):
    for hedge, late, expected in ((False, sleeps(1), "rekognition"), (True, toybox.hang, "google_vision")):
        first, second = Toy("rekognition", late), Toy("google_vision")
        dispatcher = toybox.dispatcher(first, second)
        seen_ms(dispatcher.lines["rekognition"], "objects", 20)
        outcome = ask(dispatcher, deadline_ms=60_000, hedge=hedge)
        assert (outcome.provider, second.asked) == (expected, int(hedge))
        assert outcome.latency_ms < 30_000


def test_nothing_in_time_is_a_deadline_and_ends_at_it(toybox):
    ended = []

    def hang(nth):
        toybox.hang(nth)
        ended.append(nth)

    with pytest.raises(errors.DeadlineExceeded):
        ask(toybox.dispatcher(Toy("rekognition", hang), Toy("local", hang)), deadline_ms=1_000)
    assert not ended, "nobody was waited for"


def test_a_paid_call_is_given_time_beyond_the_deadline_to_settle_and_the_in_house_model_is_not(detect):
    paid, local = Toy("rekognition", raises(ProviderFailed("x"))), Toy("local")
    detect(paid, local, deadline_ms=10_000)
    assert paid.timeouts_s[0] > 10.0
    assert local.timeouts_s[0] <= 10.0


def test_a_hanging_provider_takes_none_of_the_others_threads(toybox):
    hanging, local = Toy("rekognition", toybox.hang), Toy("local")
    dispatcher = toybox.dispatcher(hanging, local, threads=4)
    seen_ms(dispatcher.lines["local"], "objects", 1_500)
    results = []

    def ask_both():
        results.append(ask(dispatcher, deadline_ms=3_000).provider)

    threads = [threading.Thread(target=ask_both) for _ in range(12)]
    for thread in threads:
        thread.start()
    assert ask(dispatcher, providers=("local",)).provider == "local"
    for thread in threads:
        thread.join()
    assert results == ["local"] * 12
    assert hanging.asked == 4, "the fifth call found no thread and went on at once"


def test_a_provider_that_is_usually_slower_than_the_deadline_is_not_tried(toybox):
    slow, local = Toy("rekognition"), Toy("local")
    dispatcher = toybox.dispatcher(slow, local)
    seen_ms(dispatcher.lines["rekognition"], "objects", 9_000)
    outcome = ask(dispatcher, deadline_ms=8_000)
    assert (outcome.provider, outcome.degraded, slow.asked) == ("local", True, 0)
    assert (outcome.considered[0].decision, outcome.considered[0].reason) == ("skipped", "over_deadline")


def test_unless_nothing_else_can_answer(toybox):
    slow = Toy("rekognition")
    dispatcher = toybox.dispatcher(slow)
    seen_ms(dispatcher.lines["rekognition"], "objects", 9_000)
    assert ask(dispatcher, deadline_ms=8_000).provider == "rekognition"


def test_a_deadline_that_is_over_sends_nothing_and_holds_nothing(toybox):
    paid = Toy("rekognition")
    dispatcher = toybox.dispatcher(paid)
    with pytest.raises(errors.DeadlineExceeded):
        dispatcher.detect(picture(), Options(), Bill(new_id(), "tester"), time.monotonic() - 0.001)
    assert paid.asked == 0
    assert toybox.ledgers[-1].month_to_date_units("rekognition") == {}


def test_a_second_paid_provider_waits_for_the_first_to_fail(toybox):
    first, second = Toy("rekognition", toybox.hang), Toy("google_vision")
    with pytest.raises(errors.DeadlineExceeded) as told:
        ask(toybox.dispatcher(first, second), deadline_ms=2_000)
    assert second.asked == 0, "both would be billed, and the request does not ask for that"
    assert told.value.charged

    def fails_late(_nth):
        time.sleep(0.2)
        raise ProviderFailed("500")

    outcome = ask(toybox.dispatcher(Toy("rekognition", fails_late), Toy("google_vision")))
    assert outcomes(outcome) == [("rekognition", "failed"), ("google_vision", "answered")]


def test_a_late_paid_provider_leaves_its_place_to_the_in_house_model_even_behind_another_paid_one(toybox):
    first, second, local = Toy("rekognition", toybox.hang), Toy("google_vision"), Toy("local")
    dispatcher = toybox.dispatcher(first, second, local)
    seen_ms(dispatcher.lines["local"], "objects", 1_500)
    outcome = ask(dispatcher, deadline_ms=3_000)
    assert (outcome.provider, second.asked) == ("local", 0)


def test_two_calls_are_both_paid_for_or_none_is_made(toybox):
    both, local = Toy("rekognition", features=("objects", "faces")), Toy("local", features=("objects", "faces"))
    dispatcher = toybox.dispatcher(both, local)
    toybox.ledgers[-1].put_budget(Budget("one", "global", "", "day", "UTC", Money.usd("0.0015")))
    outcome = ask(dispatcher, features=("objects", "faces"))
    assert (outcome.provider, str(outcome.cost), both.asked) == ("local", "0", 0)
    assert outcome.degraded
    (status,) = toybox.ledgers[-1].budgets()
    assert status.committed == FREE, "what was held for the first call was given back"


def test_what_hedged_requests_were_told_they_cost_is_what_the_ledger_says(toybox):
    dispatcher = toybox.dispatcher(Toy("rekognition", lambda nth: time.sleep(0.05 * (nth % 3))), Toy("google_vision"), Toy("local"))
    seen_ms(dispatcher.lines["rekognition"], "objects", 20)
    told = [ask(dispatcher, hedge=True).cost for _ in range(40)]
    for _ in range(50):
        rows = toybox.ledgers[-1].costs(date.min, date.max, [])
        if sum((row.reserved for row in rows), FREE) == FREE:
            break
        time.sleep(0.1)
    assert sum(told, FREE) == sum((row.cost + row.unknown for row in rows), FREE)


def test_a_refusal_after_money_was_spent_says_that_it_was(toybox):
    dispatcher = toybox.dispatcher(Toy("rekognition", raises(ProviderFailed("500"))), Toy("google_vision"))
    toybox.ledgers[-1].put_budget(Budget("one", "global", "", "day", "UTC", Money.usd("0.001"), when_exhausted="reject"))
    with pytest.raises(errors.BudgetExhausted) as told:
        ask(dispatcher)
    assert told.value.charged


def test_a_step_that_breaks_off_loses_no_thread_and_leaves_no_hold(toybox):
    paid = Toy("rekognition")
    dispatcher = toybox.dispatcher(paid, threads=1)
    for _ in range(3):
        with pytest.raises(ValueError, match="can't be a tag"):
            dispatcher.detect(picture(), Options(), Bill(new_id(), "tester", {"a:b": "x"}), time.monotonic() + 2)
    assert ask(dispatcher).provider == "rekognition"


def test_a_locked_ledger_leaves_the_in_house_model_its_time(toybox):
    paid, free = Toy("rekognition"), Toy("local")
    dispatcher = toybox.dispatcher(paid, free)
    assert ask(dispatcher).provider == "rekognition"
    ledger = toybox.ledgers[-1]
    ledger.reserve = functools.partial(ledger.reserve, wait_s=60)
    with contextlib.closing(toybox.database.raw_connection()) as holder:
        holder.cursor().execute("BEGIN IMMEDIATE")
        outcome = ask(dispatcher, deadline_ms=4_000)
        holder.cursor().execute("ROLLBACK")
    assert (outcome.provider, outcome.degraded, paid.asked) == ("local", True, 1)


def test_a_key_that_turns_out_to_be_another_requests_when_money_is_held_is_a_conflict(toybox):
    dispatcher = toybox.dispatcher(Toy("rekognition"))
    key = IdempotencyKey("tester", "order-4711", "fingerprint")
    toybox.ledgers[-1].claim(key, "the-other", 60)
    asked = Options()
    with pytest.raises(errors.Conflict):
        dispatcher.detect(picture(), asked, Bill(new_id(), "tester", key=key), time.monotonic() + 5)


@pytest.mark.parametrize("local", [True, False], ids=["the next answers", "nobody answers"])
def test_a_report_read_after_the_answer_knows_what_failed(toybox, monkeypatch, local):
    monkeypatch.setattr("gateway.dispatch._SETTLE_S", 10.0)
    dispatcher = toybox.dispatcher(Toy("rekognition", raises(ProviderFailed("500"))), *([Toy("local")] if local else []))
    ledger, told = toybox.ledgers[-1], []

    def slowly(attempt_id, **what):
        time.sleep(0.2)
        told.append(attempt_id)

    ledger.unknown = slowly
    with contextlib.suppress(errors.NoProviderAvailable):
        ask(dispatcher)
    assert len(told) == 1
