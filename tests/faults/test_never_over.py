"""Four processes of sixteen threads against three overlapping budgets: at every moment settled + reserved + unknown <= limit."""

import json
import random
import subprocess
import sys
import time
from collections import Counter

import pytest
from sqlalchemy import text

from cost.database import open_database
from cost.ledger import BudgetExhausted, Hold, Ledger
from cost.ledger.verify import verify
from tests.cost.stores import ROOT
from tests.faults.prices import BOOK, budgets, invoice

PROCESSES, THREADS = 4, 16
SUMS = text("SELECT settled_nanos + reserved_nanos + unknown_nanos, limit_nanos, excess_nanos FROM budget_windows")

UNITS = text("SELECT units FROM unit_counters WHERE provider = :provider")
BOOKED = text("SELECT sum(coalesce(cost_nanos, price_nanos)) FROM attempts WHERE provider = :provider AND state <> 'released'")
CORRECTED = text("SELECT sum(amount_nanos) FROM corrections WHERE provider = :provider")


def start(url, spool, calls, seed):
    command = [sys.executable, "-m", "tests.faults.callers", url, str(spool), str(THREADS), str(calls), str(seed)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def watch(engine, processes):
    """Look at every budget until all have ended; returns how often it looked."""
    looks = 0
    while any(process.poll() is None for process in processes):
        with engine.connect() as connection:
            assert [row for row in connection.execute(SUMS) if row[0] > row[1] or row[2]] == []
        looks += 1
        time.sleep(0.02)
    return looks


def never_over(url, tmp_path, attempts):
    engine = open_database(url)
    ledger = Ledger(engine, BOOK, spool=tmp_path / "spool")
    for budget in budgets(attempts):
        ledger.put_budget(budget)
    each = attempts // (PROCESSES * THREADS)
    processes = [start(url, tmp_path / f"spool-{number}", each, number) for number in range(PROCESSES)]
    try:
        looks = watch(engine, processes)
        refused = sum((Counter(json.loads(process.communicate()[0])) for process in processes), Counter())
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert looks > 10
    assert refused.total() > attempts // 20, "the budgets were meant to run out"
    spend_what_is_left(ledger, [json.loads(kind) for kind in refused])
    ledger.close()
    assert list(verify(engine)) == []
    the_invoice_is_met(engine)
    engine.dispose()


def spend_what_is_left(ledger, kinds):
    """No budget has room for one more call of a kind that was refused: those that still fit are made until none does."""
    room = True
    while room:
        room = False
        for kind in kinds:
            hold = Hold(**kind, request_id=f"{random.random()}", features=frozenset(), timeout_s=300.0)
            try:
                ledger.settle(ledger.reserve(hold, wait_s=60).attempt_id, wait_s=60)
                room = True
            except BudgetExhausted as error:
                statuses = {status.budget.name: status for status in ledger.budgets()}
                for short in error.shortfalls:
                    assert statuses[short.budget.name].committed + short.needed > short.limit


def the_invoice_is_met(engine):
    """What is settled and unknown, with its corrections, is what the provider's table says of its units."""
    with engine.connect() as connection:
        for provider in BOOK:
            found = (connection.execute(query, {"provider": provider}).scalar() for query in (UNITS, BOOKED, CORRECTED))
            units, booked, corrected = (int(number or 0) for number in found)
            assert booked + corrected == invoice(provider, units)


def test_budgets_are_never_over_and_leave_nothing_that_fits(url, tmp_path):
    never_over(url, tmp_path, attempts=1_536)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_budgets_are_never_over_in_twenty_thousand_attempts(url, tmp_path):
    never_over(url, tmp_path, attempts=20_032)
