from contextlib import closing
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from cost.ledger import Budget, Correction, Ledger, UnknownAttempt
from cost.ledger.schema import attempts, corrections
from cost.money import Money
from tests.cost.sheets import BOOK, FLAT, hold

EVER = (date(2000, 1, 1), date(2100, 1, 1))


@pytest.fixture
def budget(ledger):
    ledger.put_budget(Budget("all", "global", "", "month", "UTC", Money.usd("1000")))


def sums(ledger):
    (status,) = ledger.budgets()
    return status.settled.nanos, status.reserved.nanos, status.unknown.nanos


def row(engine, attempt_id):
    with engine.connect() as connection:
        return connection.execute(select(attempts).where(attempts.c.id == attempt_id)).one()


def settled(ledger):
    return sum(row.cost.nanos for row in ledger.costs(*EVER, ["provider"]))


@pytest.mark.parametrize(
    ("move", "after"),
    [
        (lambda ledger, id_: ledger.settle(id_), (FLAT, 0, 0)),
        (lambda ledger, id_: ledger.release(id_, outcome="refused"), (0, 0, 0)),
        (lambda ledger, id_: ledger.unknown(id_, outcome="timeout"), (0, 0, FLAT)),
    ],
    ids=["settle", "release", "unknown"],
)
def test_a_hold_goes_where_it_is_sent_once_however_often_it_is_said(ledger, budget, move, after):
    attempt_id = ledger.reserve(hold()).attempt_id
    for _ in range(3):
        move(ledger, attempt_id)
        assert sums(ledger) == after


def test_nothing_leaves_settled_and_nothing_leaves_released(ledger, budget, engine):
    paid, free = (ledger.reserve(hold()).attempt_id for _ in range(2))
    ledger.settle(paid, provider_request_id="r-1")
    ledger.release(free, outcome="refused")
    for attempt_id in (paid, free):
        ledger.release(attempt_id, outcome="x")
        ledger.unknown(attempt_id, outcome="x")
        ledger.settle(attempt_id, outcome="x")
    assert sums(ledger) == (FLAT, 0, 0)
    assert (row(engine, paid).state, row(engine, paid).provider_request_id, row(engine, paid).outcome) == ("settled", "r-1", "answered")
    assert (row(engine, free).state, row(engine, free).cost_nanos) == ("released", None)


def test_a_late_answer_settles_what_was_unknown_and_proof_releases_it(ledger, budget):
    late, disproved = (ledger.reserve(hold()).attempt_id for _ in range(2))
    for attempt_id in (late, disproved):
        ledger.unknown(attempt_id, outcome="timeout")
    assert sums(ledger) == (0, 0, 2 * FLAT)
    ledger.settle(late)
    ledger.release(disproved, outcome="not on the invoice")
    assert sums(ledger) == (FLAT, 0, 0)


def test_the_end_of_an_attempt_that_never_was_is_no_error(ledger, budget):
    ledger.settle("0" * 32)
    assert sums(ledger) == (0, 0, 0)


def test_a_bill_above_the_price_is_booked_whole_and_admits_nothing_more(ledger, engine):
    ledger.put_budget(Budget("all", "global", "", "month", "UTC", Money(FLAT)))
    ledger.settle(ledger.reserve(hold()).attempt_id, cost=Money(3 * FLAT))
    assert sums(ledger) == (3 * FLAT, 0, 0)
    assert ledger.budgets()[0].remaining == Money(0)
    assert settled(ledger) == 3 * FLAT


def test_a_released_unit_leaves_the_month_to_date(ledger):
    first = ledger.reserve(hold("free_first"))
    ledger.reserve(hold("free_first"))
    ledger.release(first.attempt_id, outcome="unreachable")
    assert ledger.month_to_date_units("free_first") == {"SKU": 1}


def test_a_free_unit_that_is_given_back_is_credited_to_whom_its_absence_made_pay(ledger, budget, engine):
    """Three are free. The first of four is released: the fourth, booked at its price, turns out to be the third."""
    held = [ledger.reserve(hold("free_first")) for _ in range(4)]
    for reservation in held[1:]:
        ledger.settle(reservation.attempt_id)
    assert sums(ledger)[0] == 2_250_000
    ledger.release(held[0].attempt_id, outcome="unreachable")
    assert sums(ledger) == (0, 0, 0)
    assert settled(ledger) == 0
    with engine.connect() as connection:
        (correction,) = connection.execute(select(corrections)).all()
    assert (correction.amount_nanos, correction.attempt_id) == (-2_250_000, held[0].attempt_id)


def test_a_dear_unit_that_is_given_back_keeps_what_the_cheap_one_behind_it_now_costs(ledger, budget):
    held = [ledger.reserve(hold("falling")) for _ in range(11)]
    for reservation in held[1:]:
        ledger.settle(reservation.attempt_id)
    ledger.release(held[0].attempt_id, outcome="unreachable")
    assert sums(ledger) == (10 * 1_000_000, 0, 0)


@pytest.mark.parametrize(
    "book", [{}, BOOK | {"free_first": replace(BOOK["free_first"], counted="list")}], ids=["provider gone", "other terms"]
)
def test_units_given_back_under_other_prices_correct_nobody(ledger, budget, engine, clock, tmp_path, book):
    held = [ledger.reserve(hold("free_first")) for _ in range(4)]
    ledger.settle(held[3].attempt_id)
    with closing(Ledger(engine, book, spool=tmp_path / "later", now=clock.now, elapsed=clock.elapsed)) as later:
        later.release(held[0].attempt_id, outcome="unreachable", wait_s=10)
    assert sums(ledger) == (2_250_000, 0, 0)
    assert ledger.month_to_date_units("free_first") == {"SKU": 3}


def test_a_correction_is_a_row_and_counts_where_its_attempt_counted(ledger, budget, clock):
    attempt_id = ledger.reserve(hold()).attempt_id
    ledger.settle(attempt_id)
    clock.advance(days=40)  # into another window
    ledger.correct(Correction(day="2026-11-22", provider="flat", sku="SKU", amount=Money(-7), reason="invoice", attempt_id=attempt_id))
    assert sums(ledger) == (0, 0, 0)
    ledger.correct(Correction(day="2026-11-22", provider="flat", sku="SKU", amount=Money(9), units=1, reason="not in the ledger"))
    assert sums(ledger) == (9, 0, 0)
    assert settled(ledger) == FLAT - 7 + 9
    with pytest.raises(UnknownAttempt):
        ledger.correct(Correction(day="2026-11-22", provider="flat", sku="SKU", amount=Money(1), reason="x", attempt_id="0" * 32))


STEPS = st.lists(
    st.tuples(st.sampled_from(["reserve", "settle", "release", "unknown"]), st.integers(0, 30), st.integers(1, 4)), max_size=40
)
TABLE = {"falling": [(0, 1_000_000), (10, 700_000)], "free_first": [(0, 0), (3, 2_250_000)]}


def invoice(provider, units):
    """Unit by unit, by the row that each falls in."""
    return sum([price for above, price in TABLE[provider] if above < ordinal][-1] for ordinal in range(1, units + 1))


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@given(provider=st.sampled_from(sorted(TABLE)), steps=STEPS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_after_any_sequence_the_ledgers_sum_is_the_invoice_of_its_units(url, engine, ledger, clock, provider, steps):
    clock.advance(days=32)  # a month of the provider's that no other example has touched
    before, open_, units = settled(ledger), [], 0
    for action, which, asked in steps:
        if action == "reserve":
            open_.append((ledger.reserve(hold(provider, {"SKU": asked})).attempt_id, asked))
        elif open_:
            attempt_id, asked_then = open_[which % len(open_)]
            if action == "unknown":
                ledger.unknown(attempt_id, outcome="timeout")
                continue
            open_.remove((attempt_id, asked_then))
            if action == "settle":
                ledger.settle(attempt_id)
                units += asked_then
            else:
                ledger.release(attempt_id, outcome="refused")
    for attempt_id, asked in open_:
        ledger.settle(attempt_id)
        units += asked
    assert settled(ledger) - before == invoice(provider, units)
