import time
from contextlib import closing

import pytest
from sqlalchemy import event, select
from sqlalchemy.exc import OperationalError

from cost.ledger import Budget, BudgetExhausted, Ledger, recovery
from cost.ledger.schema import attempts
from cost.money import Money
from tests.cost.plans import steps_of
from tests.cost.sheets import BOOK, FLAT, hold


@pytest.fixture
def budget(ledger):
    ledger.put_budget(Budget("all", "global", "", "month", "UTC", Money(FLAT)))


def sums(ledger):
    (status,) = ledger.budgets()
    return status.settled.nanos, status.reserved.nanos, status.unknown.nanos


def outcome(engine, attempt_id):
    with engine.connect() as connection:
        return connection.execute(select(attempts.c.state, attempts.c.outcome).where(attempts.c.id == attempt_id)).one()


def test_a_hold_whose_owner_died_becomes_unknown_after_its_time_and_keeps_counting(ledger, budget, clock, engine):
    attempt_id = ledger.reserve(hold(timeout_s=10)).attempt_id
    clock.advance(seconds=40)
    assert ledger.sweep() == 0
    clock.advance(seconds=1)
    assert ledger.sweep() == 1
    assert sums(ledger) == (0, 0, FLAT)
    assert outcome(engine, attempt_id) == ("unknown", "deadline_passed")
    with pytest.raises(BudgetExhausted):
        ledger.reserve(hold())


def test_a_slow_owner_still_settles(ledger, budget, clock):
    attempt_id = ledger.reserve(hold()).attempt_id
    clock.advance(hours=1)
    ledger.sweep()
    ledger.settle(attempt_id)
    assert sums(ledger) == (FLAT, 0, 0)


def test_what_stays_unknown_for_three_days_is_taken_to_have_been_billed(ledger, budget, clock, engine):
    attempt_id = ledger.reserve(hold()).attempt_id
    ledger.unknown(attempt_id, outcome="timeout")
    clock.advance(hours=71)
    ledger.sweep()
    assert sums(ledger) == (0, 0, FLAT)
    clock.advance(hours=2)
    ledger.sweep()
    assert sums(ledger) == (FLAT, 0, 0)
    assert outcome(engine, attempt_id) == ("settled", "assumed_billed")


def test_sweeping_twice_moves_nothing_twice(ledger, budget, clock):
    ledger.reserve(hold())
    clock.advance(hours=1)
    assert [ledger.sweep(), ledger.sweep()] == [1, 0]


def test_a_clock_that_jumps_ahead_expires_no_hold(ledger, budget, clock):
    ledger.reserve(hold())
    clock.jump(days=40)
    assert ledger.sweep() == 0
    assert sums(ledger) == (0, FLAT, 0)


def test_many_lost_holds_are_swept_in_pages(ledger, clock, monkeypatch):
    monkeypatch.setattr(recovery, "_OVERDUE", recovery._OVERDUE.limit(4))
    for _ in range(10):
        ledger.reserve(hold())
    clock.advance(hours=1)
    assert [ledger.sweep() for _ in range(4)] == [4, 4, 2, 0]


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_sweep_reads_by_an_index_however_many_attempts_and_keys_there_are(ledger, engine):
    with steps_of(engine) as found:
        ledger.sweep()
    steps = {step for step in found if "attempts" in step or "idempotency" in step or "B-TREE" in step}
    assert len(steps) == 2, steps
    assert all(step.startswith("SEARCH") for step in steps), steps


def test_a_connection_that_the_pool_has_lost_stops_no_sweep_and_refuses_no_paid_call(engine, clock, tmp_path, monkeypatch):
    """Reports read by the pool's; only the ledger's own says whether money can be recorded."""
    monkeypatch.setattr("cost.ledger.ledger.SWEEP_EVERY_S", 0.0)

    def lost(_connection):
        raise OperationalError("SELECT 1", {}, ConnectionError("server closed the connection unexpectedly"))

    with closing(Ledger(engine, BOOK, spool=tmp_path / "spool", now=clock.now, elapsed=clock.elapsed, tick_s=0.01)) as ledger:
        ledger.put_budget(Budget("all", "global", "", "month", "UTC", Money(2 * FLAT)))
        late = ledger.reserve(hold(timeout_s=10)).attempt_id
        event.listen(engine, "engine_connect", lost)
        clock.advance(hours=1)
        for _ in range(50):
            assert ledger.problem is None
            time.sleep(0.01)
        ledger.reserve(hold())
        event.remove(engine, "engine_connect", lost)
        assert outcome(engine, late) == ("unknown", "deadline_passed")
