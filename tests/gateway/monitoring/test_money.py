from pathlib import Path

import pytest

from cost.ledger import Budget, Hold
from cost.money import Money
from gateway.monitoring.exposition import exposition
from gateway.monitoring.money import MoneyNumbers
from gateway.reads import BoundedReads
from tests.gateway.toys import Toy


def told() -> dict[str, float]:
    lines = [line.rpartition(" ") for line in exposition("")[0].decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def budget(name: str) -> Budget:
    return Budget(name, "global", "", "month", "UTC", Money.usd("50"), "degrade", pacing=False, alert_at=())


@pytest.fixture
def ledger(toybox):
    toybox.dispatcher(Toy("rekognition"))
    return toybox.ledgers[0]


@pytest.fixture
def money(ledger, clock):
    return MoneyNumbers(ledger, BoundedReads(), monotonic=clock.monotonic)


def hold(ledger) -> str:
    one = Hold(
        provider="rekognition", usage={"objects": 1}, request_id="request", client="shop", features=frozenset({"objects"}), timeout_s=10.0
    )
    return ledger.reserve(one).attempt_id


def test_amounts_are_those_of_the_ledger_to_the_cent(ledger, money):
    ledger.put_budget(budget("team"))
    ledger.settle(hold(ledger))
    ledger.unknown(hold(ledger), outcome="timeout")
    hold(ledger)
    money.refresh()
    now = told()
    assert now['gateway_spend_usd{provider="rekognition"}'] == 0.001
    assert now['gateway_unknown_usd{provider="rekognition"}'] == 0.001
    assert now['gateway_held_usd{provider="rekognition"}'] == 0.001
    assert now['gateway_budget_left_usd{budget="team"}'] == 49.997
    assert now['gateway_budget_limit_usd{budget="team"}'] == 50


def test_scraping_often_reads_the_ledger_every_five_seconds_at_most(ledger, money, clock):
    money.refresh()
    before = told()["gateway_ledger_read_timestamp_seconds"]
    clock.advance(4.9)
    money.refresh()
    assert told()["gateway_ledger_read_timestamp_seconds"] == before
    clock.advance(0.2)
    money.refresh()
    assert told()["gateway_ledger_read_timestamp_seconds"] > before


def test_a_budget_that_was_deleted_is_not_told_any_more(ledger, money, clock):
    ledger.put_budget(budget("short-lived"))
    money.refresh()
    assert 'gateway_budget_left_usd{budget="short-lived"}' in told()
    ledger.delete_budget("short-lived")
    clock.advance(6)
    money.refresh()
    assert 'gateway_budget_left_usd{budget="short-lived"}' not in told()


def test_while_the_database_is_away_the_last_amounts_stay(ledger, money, clock, toybox):
    ledger.put_budget(budget("kept"))
    money.refresh()
    before = told()
    database = Path(toybox.database.url.database)
    toybox.database.dispose()
    away = database.rename(f"{database}.away")
    database.mkdir()  # nothing opens a folder as a database
    clock.advance(6)
    money.refresh()
    after = told()
    database.rmdir()
    away.rename(database)
    assert after['gateway_budget_left_usd{budget="kept"}'] == 50
    assert after["gateway_ledger_read_timestamp_seconds"] == before["gateway_ledger_read_timestamp_seconds"]
