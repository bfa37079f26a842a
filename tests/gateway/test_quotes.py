import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest
from sqlalchemy.exc import OperationalError

from cost.ledger import LedgerUnavailable
from cost.money import FREE, Money
from cost.price_sheets import NotRoutable, Price, PriceSheet, Tier, price_call
from gateway.quotes import Quotes
from gateway.reads import BoundedReads
from providers.contract import Call, Usage
from tests.waiting import until

CALL = Call(frozenset({"objects"}), (Usage("SKU", 2),))
LIST = Money.usd("0.003")
SHEET = PriceSheet("toy", (Price("SKU", (Tier(0, LIST),), "SKU", free_units=1_000),))


class SlowLedger:
    """Says what the month has seen when it is let."""

    def __init__(self):
        self.asked = 0
        self.go_on = threading.Event()
        self.go_on.set()
        self.error = None

    def price(self, provider, usage):
        self.asked += 1
        self.go_on.wait(10)
        if self.error:
            raise self.error
        return price_call(SHEET, usage, {"SKU": 10}, date(2026, 11, 27))


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def ledger():
    ledger = SlowLedger()
    yield ledger
    ledger.go_on.set()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def quotes(ledger, clock):
    return Quotes(ledger, {"toy": SHEET}, BoundedReads(), clock)


def test_many_requests_at_once_ask_the_database_once(quotes, ledger):
    with ThreadPoolExecutor(20) as pool:
        prices = list(pool.map(lambda _: quotes.price("toy", CALL), range(200)))
    assert set(prices) == {FREE}
    assert ledger.asked == 1


def test_a_database_that_is_slow_to_say_the_months_units_for_the_first_time_keeps_nobody_out(quotes, ledger):
    ledger.go_on.clear()
    with ThreadPoolExecutor(20) as pool:
        prices = list(pool.map(lambda _: quotes.price("toy", CALL), range(20)))
    assert set(prices) == {LIST * 2}, "never too low"


def test_while_one_asks_again_the_others_go_by_the_last_answer(quotes, ledger, clock):
    assert quotes.price("toy", CALL) == FREE
    clock.now += 2
    ledger.go_on.clear()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(quotes.price, "toy", CALL)
        until(lambda: ledger.asked == 2)
        assert quotes.price("toy", CALL) == FREE
        ledger.go_on.set()
    assert ledger.asked == 2


def test_a_database_that_is_away_is_no_price(quotes, ledger):
    ledger.error = OperationalError("SELECT", {}, Exception("gone"))
    with pytest.raises(LedgerUnavailable):
        quotes.price("toy", CALL)
    ledger.error = None
    assert quotes.price("toy", CALL) == FREE


def test_a_provider_without_a_sheet_has_no_price(quotes, ledger):
    ledger.go_on.clear()
    assert isinstance(quotes.price("nobody", CALL), NotRoutable)
