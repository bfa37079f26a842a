"""kill -9 at random moments under load: what the provider billed is in the ledger, and no hold stays for good."""

import subprocess
import sys
from datetime import timedelta

import pytest
from sqlalchemy import select, text

from cost.database import open_database
from cost.ledger import Budget, Ledger
from cost.ledger.clock import elapsed_us
from cost.ledger.schema import attempts
from cost.ledger.times import HOUR_US, utc_now
from cost.ledger.verify import verify
from cost.money import Money
from tests.cost.sheets import BOOK, FLAT
from tests.cost.stores import ROOT

SUMS = text("SELECT sum(settled_nanos), sum(reserved_nanos), sum(unknown_nanos), sum(excess_nanos) FROM budget_windows")
CALLS_A_ROUND = 1_000
"""More than a round's callers can make."""


def an_hour_later(engine, spool):
    """The process that comes after: every hold's time is over."""
    return Ledger(
        engine,
        BOOK,
        spool=spool,
        now=lambda: utc_now() + timedelta(hours=1),
        elapsed=lambda: elapsed_us() + HOUR_US,
        tick_s=3600,
    )


def states(engine):
    with engine.connect() as connection:
        return dict(connection.execute(select(attempts.c.id, attempts.c.state)).all())


def sums(engine):
    """Settled, reserved, unknown and excess: of all windows, should a month have ended meanwhile."""
    with engine.connect() as connection:
        return tuple(int(nanos) for nanos in connection.execute(SUMS).one())


def never_forgotten(url, tmp_path, rounds):
    engine = open_database(url)
    ledger = Ledger(engine, BOOK, spool=tmp_path / "spool")
    limit = Money(FLAT * CALLS_A_ROUND * rounds)
    ledger.put_budget(Budget("all", "global", "", "month", "UTC", limit))
    ledger.close()
    engine.dispose()
    subprocess.run([sys.executable, "-m", "tests.faults.kill_loop", url, str(tmp_path), str(rounds), "7"], cwd=ROOT, check=True)

    billed = set((tmp_path / "bill").read_text().split())
    assert len(billed) > 10 * rounds
    ledger = an_hour_later(engine, tmp_path / "spool")
    while ledger.sweep():
        pass
    known = states(engine)
    assert {attempt_id for attempt_id in billed if known.get(attempt_id) not in ("settled", "unknown")} == set()
    assert "reserved" not in known.values()
    assert sum(sums(engine)) <= limit.nanos

    reconcile(ledger, known, billed)
    assert {attempt_id for attempt_id, state in states(engine).items() if state == "settled"} == billed
    assert sums(engine) == (FLAT * len(billed), 0, 0, 0)
    ledger.close()
    assert list(verify(engine)) == []
    engine.dispose()


def reconcile(ledger, known, billed):
    """By the provider's bill: what nobody knew was billed, or was not."""
    for attempt_id, state in known.items():
        if state == "unknown":
            if attempt_id in billed:
                ledger.settle(attempt_id, outcome="on the bill", wait_s=30)
            else:
                ledger.release(attempt_id, outcome="not on the bill", wait_s=30)


def test_eight_kills_lose_nothing_that_was_billed(url, tmp_path):
    never_forgotten(url, tmp_path, rounds=8)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_hundred_kills_lose_nothing_that_was_billed(url, tmp_path):
    never_forgotten(url, tmp_path, rounds=200)
