import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from cost.ledger import Budget, BudgetExhausted, NotPriced, OverMaxCost
from cost.money import FREE, Money
from tests.cost.sheets import FLAT, hold


def budget(name, limit_units, scope="global", value="", **more):
    return Budget(name, scope, value, more.pop("period", "month"), more.pop("timezone", "UTC"), Money(FLAT * limit_units), **more)


def sums(ledger, name):
    (status,) = [status for status in ledger.budgets() if status.budget.name == name]
    return status.settled.nanos, status.reserved.nanos, status.unknown.nanos


def test_a_reservation_holds_the_exact_price_before_anything_is_sent(ledger):
    ledger.put_budget(budget("all", 5))
    reservation = ledger.reserve(hold(usage={"SKU": 3}))
    assert reservation.price == Money(3 * FLAT)
    assert sums(ledger, "all") == (0, 3 * FLAT, 0)


def test_a_call_that_fits_to_the_last_nano_is_admitted_and_one_nano_less_is_not(ledger):
    ledger.put_budget(budget("exact", 2))
    ledger.put_budget(replace(budget("short", 0, "client", "tight"), limit=Money(2 * FLAT - 1)))
    ledger.reserve(hold(usage={"SKU": 2}))
    with pytest.raises(BudgetExhausted):
        ledger.reserve(hold(usage={"SKU": 2}, client="tight"))


def test_a_refusal_carries_its_arithmetic(ledger):
    ledger.put_budget(budget("all", 3, when_exhausted="reject", timezone="Europe/Berlin"))
    ledger.settle(ledger.reserve(hold()).attempt_id)
    ledger.unknown(ledger.reserve(hold()).attempt_id, outcome="timeout")
    ledger.reserve(hold())
    with pytest.raises(BudgetExhausted) as caught:
        ledger.reserve(hold(usage={"SKU": 2}))
    (short,) = caught.value.shortfalls
    assert (short.settled, short.reserved, short.unknown, short.needed, short.limit) == tuple(Money(n * FLAT) for n in (1, 1, 1, 2, 3))
    assert (short.budget.name, short.starts_at) == ("all", datetime(2026, 10, 31, 23, tzinfo=UTC))
    assert short.resets_at == datetime(2026, 11, 30, 23, tzinfo=UTC)
    assert "settled 0.001 + reserved 0.001 + unknown 0.001 + needed 0.002 > limit 0.003 USD" in str(caught.value)


def test_all_budgets_that_apply_are_checked_and_a_refusal_by_one_holds_nothing_in_the_others(ledger):
    ledger.put_budget(budget("all", 9))
    ledger.put_budget(budget("cloud", 9, "provider", "flat"))
    ledger.put_budget(budget("shop", 9, "client", "shop", period="day"))
    ledger.put_budget(budget("spring", 1, "tag", "campaign:spring", period="week"))
    ledger.reserve(hold(tags={"campaign": "spring"}))
    with pytest.raises(BudgetExhausted):
        ledger.reserve(hold(tags={"campaign": "spring", "team": "a"}))
    assert [sums(ledger, name)[1] for name in ("all", "cloud", "shop", "spring")] == [FLAT] * 4
    ledger.reserve(hold(tags={"campaign": "Spring"}))
    assert [sums(ledger, name)[1] for name in ("all", "cloud", "shop", "spring")] == [2 * FLAT] * 3 + [FLAT]


def test_every_short_budget_is_named_those_that_reject_first(ledger):
    ledger.put_budget(budget("soft", 0))
    ledger.put_budget(budget("hard", 0, "client", "shop", when_exhausted="reject"))
    with pytest.raises(BudgetExhausted) as caught:
        ledger.reserve(hold())
    assert [short.budget.name for short in caught.value.shortfalls] == ["hard", "soft"]


def test_max_cost_holds_over_all_attempts_of_a_request(ledger):
    ceiling = {"max_cost": Money(2 * FLAT)}
    first = ledger.reserve(hold(**ceiling))
    second = ledger.reserve(hold(**ceiling))
    with pytest.raises(OverMaxCost) as caught:
        ledger.reserve(hold(**ceiling))
    assert (caught.value.committed, caught.value.needed) == (Money(2 * FLAT), Money(FLAT))
    ledger.reserve(hold(request_id="another", **ceiling))
    ledger.settle(first.attempt_id)
    ledger.release(second.attempt_id, outcome="unreachable")
    ledger.reserve(hold(**ceiling))
    with pytest.raises(OverMaxCost):
        ledger.reserve(hold(**ceiling))


def test_max_cost_holds_against_attempts_at_the_same_moment(ledger):
    """They meet in one batch, where none is in the database yet."""
    outcomes = together(ledger, [hold(max_cost=Money(3 * FLAT)) for _ in range(12)])
    assert outcomes.count("held") == 3


def test_a_budget_for_a_hundred_calls_admits_a_hundred_of_two_hundred_at_once(ledger):
    ledger.put_budget(budget("all", 100))
    outcomes = together(ledger, [hold() for _ in range(200)])
    assert outcomes.count("held") == 100
    assert sums(ledger, "all") == (0, 100 * FLAT, 0)


def together(ledger, holds):
    outcomes = []

    def one(wanted):
        try:
            ledger.reserve(wanted, wait_s=20)
            outcomes.append("held")
        except (OverMaxCost, BudgetExhausted) as error:
            outcomes.append(type(error).__name__)

    threads = [threading.Thread(target=one, args=(wanted,)) for wanted in holds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_what_has_no_price_is_refused_and_says_why(ledger):
    with pytest.raises(NotPriced, match="nobody: no price sheet"):
        ledger.reserve(hold("nobody"))
    with pytest.raises(NotPriced, match="no valid price for OTHER"):
        ledger.reserve(hold("flat", {"SKU": 1, "OTHER": 1}))


def test_a_repeated_reserve_of_one_attempt_is_one_reservation(ledger):
    ledger.put_budget(budget("all", 1))
    wanted = hold()
    assert ledger.reserve(wanted) == ledger.reserve(wanted)
    assert sums(ledger, "all") == (0, FLAT, 0)


def test_a_call_with_several_skus_is_one_attempt_with_several_lines(ledger):
    reservation = ledger.reserve(hold("two_skus", {"OBJECTS": 1, "LABELS": 2}))
    assert [(line.sku, line.units, line.price.nanos) for line in reservation.lines] == [("OBJECTS", 1, 2_250_000), ("LABELS", 2, 3_000_000)]
    assert reservation.price == Money(5_250_000)


def test_the_price_held_is_the_price_at_this_moments_place_in_the_tiers(ledger):
    prices = [ledger.reserve(hold("free_first", {"SKU": 2})).price for _ in range(3)]
    assert prices == [FREE, Money(2_250_000), Money(4_500_000)]
    assert ledger.month_to_date_units("free_first") == {"SKU": 6}


def test_a_call_that_is_free_is_admitted_by_a_budget_that_has_nothing_left(ledger):
    ledger.put_budget(budget("none", 0))
    assert ledger.reserve(hold("free_first")).price == FREE
    ledger.settle(ledger.reserve(hold("free_first", max_cost=FREE)).attempt_id)


@pytest.mark.parametrize(
    "wrong",
    [
        {"usage": {"SKU": 0}},
        {"usage": {"SKU": -1}},
        {"usage": {"SKU": 1.0}},
        {"tags": {"a:b": "c"}},
        {"tags": {"a": "b,c:d"}},
        {"tags": {"": "x"}},
        {"tags": {"a": "x" * 129}},
        {"tags": {f"tag-{n}": "" for n in range(17)}},
        {"client": "c" * 129},
        {"client": "c\0"},
        {"request_id": "r" * 65},
    ],
)
def test_what_no_row_can_hold_is_refused_before_it_waits_for_a_batch(wrong):
    with pytest.raises(ValueError, match=r"tag|unit|longer"):
        hold(**wrong)


def test_positions_tell_the_marginal_price_and_the_free_units_left(ledger):
    ledger.settle(ledger.reserve(hold("free_first", {"SKU": 2})).attempt_id)
    (now,) = ledger.positions("free_first")
    assert (now.unit_price, now.free_units_left) == (FREE, 1)
    ledger.reserve(hold("free_first", {"SKU": 2}))
    (now,) = ledger.positions("free_first")
    assert (now.unit_price, now.free_units_left) == (Money(2_250_000), 0)
    assert ledger.price("free_first", {"SKU": 2}).total == Money(4_500_000)
    assert ledger.price("nobody", {"SKU": 2}).reason == "no price sheet"
