from dataclasses import replace

import pytest

from cost.ledger import Budget, BudgetExhausted, Ledger
from cost.money import Money
from tests.cost.clocks import FakeClock
from tests.cost.sheets import BOOK, FLAT, hold

DAY = Budget("day", "global", "", "day", "UTC", Money(2 * FLAT))


def spend_all(ledger):
    spent = 0
    while True:
        try:
            ledger.settle(ledger.reserve(hold()).attempt_id)
        except BudgetExhausted:
            return spent
        spent += 1


@pytest.fixture
def reopen(engine, clock, tmp_path):
    """Ledgers on the same database one after the other, as processes are."""
    opened = []

    def reopen():
        for ledger in opened:
            ledger.close()
        opened[:] = [Ledger(engine, BOOK, spool=tmp_path / "spool", now=clock.now, elapsed=clock.elapsed, tick_s=3600)]
        return opened[0]

    yield reopen
    for ledger in opened:
        ledger.close()


def test_the_next_day_opens_a_fresh_budget_to_the_microsecond(ledger, clock):
    ledger.put_budget(DAY)
    clock.advance(hours=11, minutes=59, seconds=59, microseconds=999_999)
    assert spend_all(ledger) == 2
    clock.advance(microseconds=1)
    assert spend_all(ledger) == 2


def test_a_call_belongs_to_the_window_of_its_reserve(ledger, clock):
    ledger.put_budget(DAY)
    clock.advance(hours=11, minutes=59, seconds=59)
    before_midnight = ledger.reserve(hold()).attempt_id
    clock.advance(seconds=2)
    ledger.settle(before_midnight)
    assert ledger.budgets()[0].settled == Money(0)
    assert spend_all(ledger) == 2
    assert [(row.keys["day"], row.calls) for row in ledger.costs(clock.now().date().replace(day=1), clock.now().date(), ["day"])] == [
        ("2026-11-22", 1),
        ("2026-11-23", 2),
    ]


@pytest.mark.parametrize(
    ("timezone", "start", "hours"),
    [
        ("America/Los_Angeles", "2026-03-08T08:00:00", 23),
        ("America/Los_Angeles", "2026-11-01T07:00:00", 25),
        ("Australia/Lord_Howe", "2026-04-04T13:00:00", 24.5),
        ("Asia/Kolkata", "2028-02-28T18:30:00", 24),
        ("UTC", "2028-02-29T00:00:00", 24),
    ],
)
@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_day_with_a_clock_change_has_one_budget_for_all_its_hours(url, engine, tmp_path, timezone, start, hours):
    clock = FakeClock(start)
    ledger = Ledger(engine, BOOK, spool=tmp_path / "spool", now=clock.now, elapsed=clock.elapsed, tick_s=3600)
    ledger.put_budget(replace(DAY, timezone=timezone))
    assert spend_all(ledger) == 2
    clock.advance(hours=hours, microseconds=-1)
    assert spend_all(ledger) == 0
    clock.advance(microseconds=1)
    assert spend_all(ledger) == 2
    ledger.close()


@pytest.mark.parametrize(("period", "days"), [("week", 1), ("month", 9)])
def test_weeks_and_months_turn_on_their_day(ledger, clock, period, days):
    """It is a Sunday, the 22nd of November."""
    ledger.put_budget(replace(DAY, period=period))
    clock.advance(hours=11)
    assert spend_all(ledger) == 2
    clock.advance(days=days - 1, minutes=59)
    assert spend_all(ledger) == 0
    clock.advance(minutes=1)
    assert spend_all(ledger) == 2


def test_a_clock_that_jumps_ahead_opens_no_fresh_budget(ledger, clock):
    ledger.put_budget(DAY)
    assert spend_all(ledger) == 2
    clock.jump(days=40)
    assert spend_all(ledger) == 0
    assert ledger.clock_doubt == f"the clock is {40 * 86_400} s ahead of the time the ledger goes by"
    clock.advance(hours=12)  # by the witness, midnight has come
    assert spend_all(ledger) == 2


def test_neither_does_one_that_jumped_before_the_process_was_started_again(reopen, clock):
    ledger = reopen()
    ledger.put_budget(DAY)
    assert spend_all(ledger) == 2
    clock.jump(days=40)
    ledger = reopen()
    assert spend_all(ledger) == 0
    assert ledger.clock_doubt


def test_a_clock_that_goes_back_an_hour_goes_on_from_where_it_was(ledger, clock):
    ledger.put_budget(DAY)
    clock.advance(hours=12)
    assert spend_all(ledger) == 2
    clock.jump(hours=-1)  # yesterday, whose budget is untouched
    assert spend_all(ledger) == 0
    assert "behind" in ledger.clock_doubt
    clock.jump(hours=1)
    assert spend_all(ledger) == 0
    assert ledger.clock_doubt is None


def test_an_operator_may_say_that_the_clock_is_right(ledger, clock):
    ledger.put_budget(DAY)
    assert spend_all(ledger) == 2
    clock.jump(days=3)
    assert spend_all(ledger) == 0
    ledger.confirm_clock()
    assert ledger.clock_doubt is None
    assert spend_all(ledger) == 2


def test_a_machine_that_was_off_for_days_is_believed(reopen, clock, monkeypatch):
    ledger = reopen()
    ledger.put_budget(DAY)
    assert spend_all(ledger) == 2
    clock.jump(days=3)
    monkeypatch.setattr("cost.ledger.ledger.boot_id", lambda: "the next start")
    ledger = reopen()
    assert spend_all(ledger) == 2
    assert ledger.clock_doubt is None


def test_a_machine_that_starts_with_a_clock_in_the_past_goes_on_from_what_was_seen(reopen, clock, monkeypatch):
    ledger = reopen()
    ledger.put_budget(DAY)
    assert spend_all(ledger) == 2
    clock.jump(days=-3)
    monkeypatch.setattr("cost.ledger.ledger.boot_id", lambda: "the next start")
    ledger = reopen()
    assert spend_all(ledger) == 0
    assert "behind" in ledger.clock_doubt
