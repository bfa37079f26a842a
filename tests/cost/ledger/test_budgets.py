from dataclasses import replace
from decimal import Decimal

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from cost.ledger import BadBudget, Budget, BudgetExhausted
from cost.money import FREE, Money
from tests.cost.sheets import FLAT, hold

ALL = Budget("all", "global", "", "month", "UTC", Money(5 * FLAT))


def test_a_budget_is_read_back_as_it_was_put_with_its_window(ledger, clock):
    put = Budget("b.1", "tag", "team:vision", "week", "Asia/Kolkata", Money.usd("12.5"), "reject", True, (Decimal("0.8"), Decimal("0.95")))
    ledger.put_budget(put)
    (status,) = ledger.budgets()
    assert status.budget == put
    assert clock.now() in status.window
    assert (status.committed, status.remaining) == (FREE, put.limit)


def test_all_problems_of_a_budget_are_told_at_once():
    from cost.ledger.budgets import check  # noqa: PLC0415 - the one test of it

    with pytest.raises(BadBudget) as caught:
        check(Budget("no spaces", "tag", "no colon", "year", "Mars/Olympus", Money(-1), "panic", False, (Decimal(2),)))
    assert sorted(caught.value.problems) == ["alert_at", "limit_usd", "name", "period", "scope", "timezone", "when_exhausted"]


@pytest.mark.parametrize(("scope", "value"), [("global", "x"), ("client", ""), ("team", "x"), ("tag", "a:b,c:d"), ("tag", ":x")])
def test_a_scope_that_is_none_is_refused(ledger, scope, value):
    with pytest.raises(BadBudget, match="scope"):
        ledger.put_budget(replace(ALL, scope=scope, scope_value=value))


def test_a_budget_made_in_the_middle_of_its_window_counts_what_was_spent_before(ledger):
    spent, held, doubted = (ledger.reserve(hold(tags={"team": "a"})).attempt_id for _ in range(3))
    other = ledger.reserve(hold(tags={"team": "ab"}, client="else")).attempt_id
    ledger.settle(spent)
    ledger.settle(other)
    ledger.unknown(doubted, outcome="timeout")
    for name, scope, value in [("all", "global", ""), ("cloud", "provider", "flat"), ("shop", "client", "shop"), ("team", "tag", "team:a")]:
        ledger.put_budget(Budget(name, scope, value, "day", "UTC", Money(2 * FLAT)))
    by_name = {status.budget.name: status for status in ledger.budgets()}
    assert {name: status.settled.nanos // FLAT for name, status in by_name.items()} == {"all": 2, "cloud": 2, "shop": 1, "team": 1}
    assert all((status.reserved.nanos, status.unknown.nanos) == (FLAT, FLAT) for status in by_name.values())
    with pytest.raises(BudgetExhausted) as caught:
        ledger.reserve(hold(tags={"team": "a"}))
    assert len(caught.value.shortfalls) == 4
    ledger.settle(held)
    ledger.release(doubted, outcome="refused")
    assert {status.budget.name: status.settled.nanos // FLAT for status in ledger.budgets()} == {"all": 3, "cloud": 3, "shop": 2, "team": 2}


def test_a_limit_lowered_below_what_is_committed_admits_nothing_and_lets_holds_end(ledger):
    ledger.put_budget(ALL)
    held = [ledger.reserve(hold()).attempt_id for _ in range(4)]
    ledger.put_budget(replace(ALL, limit=Money(2 * FLAT)))
    with pytest.raises(BudgetExhausted):
        ledger.reserve(hold())
    for attempt_id in held[:3]:
        ledger.settle(attempt_id)
    ledger.release(held[3], outcome="refused")
    (status,) = ledger.budgets()
    assert (status.settled, status.remaining) == (Money(3 * FLAT), FREE)
    with pytest.raises(BudgetExhausted):
        ledger.reserve(hold())
    ledger.put_budget(replace(ALL, limit=Money(4 * FLAT)))
    ledger.reserve(hold())


def test_a_budget_that_changes_what_it_counts_starts_from_what_that_has_spent(ledger):
    ledger.put_budget(replace(ALL, scope="client", scope_value="nobody"))
    ledger.settle(ledger.reserve(hold()).attempt_id)
    ledger.put_budget(replace(ALL, scope="client", scope_value="shop"))
    (status,) = ledger.budgets()
    assert status.settled == Money(FLAT)


def test_a_deleted_budget_holds_nobody_back_and_its_name_is_free(ledger):
    ledger.put_budget(replace(ALL, limit=FREE))
    attempt_in_flight = None
    with pytest.raises(BudgetExhausted):
        ledger.reserve(hold())
    assert ledger.delete_budget("all")
    assert not ledger.delete_budget("all")
    attempt_in_flight = ledger.reserve(hold()).attempt_id
    ledger.put_budget(ALL)
    ledger.settle(attempt_in_flight)
    assert ledger.budgets()[0].settled == Money(FLAT)


def test_a_change_of_budgets_by_one_process_is_heeded_by_the_next_reserve_of_another(ledger, engine, clock, tmp_path):
    from cost.ledger import Ledger  # noqa: PLC0415
    from tests.cost.sheets import BOOK  # noqa: PLC0415

    other = Ledger(engine, BOOK, spool=tmp_path / "other", now=clock.now, elapsed=clock.elapsed, tick_s=3600)
    try:
        other.reserve(hold())
        ledger.put_budget(replace(ALL, limit=Money(FLAT)))
        with pytest.raises(BudgetExhausted):
            other.reserve(hold())
        ledger.delete_budget("all")
        other.reserve(hold())
    finally:
        other.close()


def test_who_made_changed_and_ended_a_budget_is_kept_with_its_terms(ledger, clock):
    ledger.put_budget(ALL, by="anna")
    clock.advance(seconds=60)
    ledger.put_budget(replace(ALL, limit=Money(7 * FLAT)), by="ben")
    ledger.put_budget(replace(ALL, limit=Money(7 * FLAT)), by="nobody: it changes nothing")
    ledger.put_budget(replace(ALL, limit=Money(7 * FLAT), period="day"), by="anna")
    ledger.delete_budget("all", by="c" * 200)
    ledger.put_budget(replace(ALL, name="other"))
    changes = ledger.budget_changes("all")
    assert [(one.by, one.change, one.terms.limit.nanos // FLAT, one.terms.period) for one in changes] == [
        ("c" * 128, "ended", 7, "day"),
        ("anna", "changed", 7, "day"),
        ("ben", "changed", 7, "month"),
        ("anna", "made", 5, "month"),
    ]
    assert (changes[-2].at - changes[-1].at).total_seconds() >= 60


def test_the_history_of_budgets_is_never_edited(ledger, engine):
    ledger.put_budget(ALL, by="anna")
    for statement in ("UPDATE budget_changes SET by = 'ben'", "DELETE FROM budget_changes"):
        with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
            connection.execute(text(statement.replace(" by ", ' "by" ')))
