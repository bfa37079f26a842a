import re
import time
from types import SimpleNamespace

import pytest

from gateway.monitoring.exposition import exposition
from gateway.monitoring.process import ProcessNumbers
from tests.waiting import until


def told(name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", exposition("")[0].decode(), re.MULTILINE)
    return float(found[1]) if found else 0.0


@pytest.fixture
def process():
    """A process's ledger, and how many rows it has lost."""
    process = SimpleNamespace(problem=None, lost=0)
    numbers = ProcessNumbers(process, {"tests": lambda: process.lost}, every_s=0.01)
    yield process
    numbers.close()


def test_a_ledger_that_is_away_and_back_is_told_without_a_scrape_of_its_process(process):
    assert told("gateway_ledger_ready") == 1
    process.problem = "no commit within 1.0 s"
    until(lambda: told("gateway_ledger_ready") == 0)
    process.problem = None
    until(lambda: told("gateway_ledger_ready") == 1)


def test_what_was_lost_is_counted_once(process):
    before = told('gateway_rows_lost_total{of="tests"}')
    process.lost = 3
    until(lambda: told('gateway_rows_lost_total{of="tests"}') == before + 3)
    process.lost = 5
    until(lambda: told('gateway_rows_lost_total{of="tests"}') == before + 5)


def test_what_fails_once_is_told_the_next_time(process):
    told_before = told("gateway_ledger_ready")
    del process.problem
    time.sleep(0.1)
    process.problem = "no commit within 1.0 s"
    assert told_before == 1
    until(lambda: told("gateway_ledger_ready") == 0, within_s=10)
