from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cost.in_house import InHouse, break_even, cloud_price, machine_price, month_price
from cost.money import FREE, Money
from tests.cost.sheets import BOOK, FLAT, sheet

TODAY = date(2026, 11, 27)
HOUR_US = 3_600_000_000
HALF_A_DOLLAR = Decimal("0.526")


def test_five_milliseconds_of_a_machine_at_0_526_an_hour_are_731_nano_dollars():
    assert machine_price(HALF_A_DOLLAR, 5_000) == Money(731)


@given(st.lists(st.integers(0, 10_000_000), max_size=50), st.decimals("0", "100", places=3))
def test_what_is_imputed_adds_up_to_the_busy_time(busy_us, usd_per_hour):
    imputed = sum((machine_price(usd_per_hour, us) for us in busy_us), FREE)
    assert abs(imputed.nanos - machine_price(usd_per_hour, sum(busy_us)).nanos) <= len(busy_us)


def test_the_idle_share_is_what_nobody_was_imputed():
    machine = machine_price(HALF_A_DOLLAR, 10 * HOUR_US)
    seen = InHouse(machine, machine_price(HALF_A_DOLLAR, HOUR_US), 1000)
    assert seen.idle + seen.imputed == machine
    assert seen.idle_share == Decimal("0.9")
    assert seen.picture == Money.usd("0.00526")
    assert seen.busy_picture == Money.usd("0.000526")
    assert seen.pictures_max == 10_000


def test_a_machine_that_served_nobody_has_no_price_a_picture():
    seen = InHouse(Money.usd("1"), FREE, 0)
    assert (seen.picture, seen.busy_picture, seen.pictures_max) == (None, None, None)
    assert seen.idle_share == 1


def test_a_machine_that_costs_nothing_is_never_idle_for_money():
    assert InHouse(FREE, FREE, 7).idle_share == 0


def test_more_imputed_than_paid_is_no_negative_idle():
    assert InHouse(Money(10), Money(15), 3).idle == FREE


def test_a_flat_price_breaks_even_at_the_machines_month_over_it():
    found = break_even(Decimal(1), BOOK["flat"], {"SKU": 1}, TODAY)
    assert found.pictures_a_month == month_price(Decimal(1)).nanos // FLAT


def test_free_units_come_before_the_break_even():
    paid = month_price(Decimal("0.01")).nanos // 2_250_000 + 1  # 7.30 USD at 0.00225, rounded up
    assert break_even(Decimal("0.01"), BOOK["free_first"], {"SKU": 1}, TODAY).pictures_a_month == paid + 3


@pytest.mark.parametrize("usd_per_hour", ["0.0001", "0.526", "12"])
@pytest.mark.parametrize("provider", ["flat", "falling", "free_first"])
def test_one_picture_less_than_the_break_even_is_cheaper_at_the_cloud(provider, usd_per_hour):
    found = break_even(Decimal(usd_per_hour), BOOK[provider], {"SKU": 1}, TODAY).pictures_a_month
    machine = month_price(Decimal(usd_per_hour))
    assert cloud_price(BOOK[provider], {"SKU": 1}, found, TODAY) >= machine
    assert cloud_price(BOOK[provider], {"SKU": 1}, found - 1, TODAY) < machine


def test_a_picture_that_bills_two_units_breaks_even_at_half_as_many():
    one = break_even(Decimal(1), BOOK["flat"], {"SKU": 1}, TODAY).pictures_a_month
    assert break_even(Decimal(1), BOOK["flat"], {"SKU": 2}, TODAY).pictures_a_month == -(-one // 2)


def test_a_cloud_that_costs_nothing_is_never_beaten():
    found = break_even(Decimal(1), sheet("gift", (0, 0)), {"SKU": 1}, TODAY)
    assert found.pictures_a_month is None
    assert "any number" in found.reason


def test_a_cloud_without_a_price_says_why_it_has_no_break_even():
    assert "no valid price for OTHER" in break_even(Decimal(1), BOOK["flat"], {"OTHER": 1}, TODAY).reason
