from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cost.money import FREE, Money
from cost.price_files import load_prices
from cost.price_sheets import NotRoutable, Price, PriceSheet, Tier, position, price_call

TODAY = date(2026, 11, 22)
BOOK = load_prices(regions={"rekognition": "us-east-1"})


def priced(provider, usage, month_to_date=None, on=TODAY, book=BOOK):
    return price_call(book[provider], usage, month_to_date or {}, on)


def sheet_of(*tiers, **more):
    row = Price("SKU", tuple(Tier(above, Money(nanos)) for above, nanos in tiers), "SKU", **more)
    return PriceSheet("cloud", (row,))


@pytest.mark.parametrize(
    ("sku", "taken", "usd"),
    [
        ("OBJECT_LOCALIZATION", 0, "0"),
        ("OBJECT_LOCALIZATION", 999, "0"),
        ("OBJECT_LOCALIZATION", 1_000, "0.00225"),
        ("OBJECT_LOCALIZATION", 4_999_999, "0.00225"),
        ("OBJECT_LOCALIZATION", 5_000_000, "0.0015"),
        ("LABEL_DETECTION", 5_000_000, "0.001"),
        ("FACE_DETECTION", 5_000_000, "0.0006"),
    ],
)
def test_the_next_unit_costs_what_googles_table_says(sku, taken, usd):
    assert str(priced("google_vision", {sku: 1}, {sku: taken}).total) == usd


@pytest.mark.parametrize(
    ("taken", "usd"), [(0, "0.001"), (999_999, "0.001"), (1_000_000, "0.0008"), (5_000_000, "0.0006"), (35_000_000, "0.0004")]
)
def test_all_apis_of_amazons_second_group_climb_the_tiers_together(taken, usd):
    for sku in ("DetectLabels", "DetectFaces", "DetectText", "DetectModerationLabels"):
        assert str(priced("rekognition", {sku: 1}, {"image group 2": taken}).total) == usd


def test_a_call_that_crosses_a_tier_is_charged_by_the_units_on_each_side():
    crossing = priced("google_vision", {"OBJECT_LOCALIZATION": 10}, {"OBJECT_LOCALIZATION": 4_999_997})
    assert crossing.total == Money.usd("0.00225") * 3 + Money.usd("0.0015") * 7


def test_several_skus_of_one_group_in_one_call_take_their_units_one_after_the_other():
    both = priced("rekognition", {"DetectLabels": 1, "DetectFaces": 1}, {"image group 2": 999_999})
    assert [str(line.price) for line in both.lines] == ["0.001", "0.0008"]


def test_safe_search_is_free_with_labels_only():
    used_up = {"LABEL_DETECTION": 1_000, "SAFE_SEARCH_DETECTION": 1_000}
    assert str(priced("google_vision", {"SAFE_SEARCH_DETECTION": 1}, used_up).total) == "0.0015"
    together = priced("google_vision", {"SAFE_SEARCH_DETECTION": 1, "LABEL_DETECTION": 1}, used_up)
    assert [(line.units, str(line.price)) for line in together.lines] == [(0, "0"), (1, "0.0015")]
    assert str(priced("google_vision", {"SAFE_SEARCH_DETECTION": 3, "LABEL_DETECTION": 1}, used_up).total) == "0.0045"


def test_a_free_tier_of_the_first_months_counts_once_the_accounts_age_is_known():
    row = Price("SKU", (Tier(0, Money(7)),), "SKU", free_units=10, free_for_first_months=12)
    unknown = PriceSheet("cloud", (row,))
    opened = PriceSheet("cloud", (row,), account_opened_on=date(2026, 1, 15))
    assert price_call(unknown, {"SKU": 1}, {}, TODAY).total == Money(7)
    assert price_call(opened, {"SKU": 1}, {}, date(2027, 1, 14)).total == FREE
    assert price_call(opened, {"SKU": 1}, {}, date(2027, 1, 15)).total == Money(7)
    assert price_call(opened, {"SKU": 1}, {}, date(2026, 1, 14)).total == Money(7)


def test_an_account_shared_with_others_counts_on_nothing_free_and_on_no_volume():
    row = Price("SKU", (Tier(0, Money(9)), Tier(100, Money(5))), "SKU", free_units=10)
    shared = PriceSheet("cloud", (row,), counted="list")
    assert price_call(shared, {"SKU": 3}, {"SKU": 5_000}, TODAY).total == Money(27)
    assert position(shared, "SKU", {"SKU": 0}, TODAY).free_units_left == 0


def test_the_latest_row_that_has_begun_applies_and_a_regions_own_goes_before_the_general_one():
    def row(nanos, begins, region="*"):
        return Price("SKU", (Tier(0, Money(nanos)),), "SKU", region, effective_from=begins)

    rows = (row(1, date(2026, 1, 1)), row(2, date(2026, 6, 1)), row(3, date(2027, 1, 1)), row(9, date(2025, 1, 1), "eu"))
    anywhere, europe = PriceSheet("cloud", rows), PriceSheet("cloud", rows, "eu")
    assert [price_call(anywhere, {"SKU": 1}, {}, on).total.nanos for on in (date(2026, 5, 31), date(2026, 6, 1), date(2027, 1, 1))] == [
        1,
        2,
        3,
    ]
    assert price_call(europe, {"SKU": 1}, {}, TODAY).total == Money(9)
    assert price_call(anywhere, {"SKU": 1}, {}, date(2024, 1, 1)) == NotRoutable("no valid price for SKU in region * on 2024-01-01")


def test_what_has_no_price_is_not_routable_and_says_why():
    mars = load_prices(regions={"rekognition": "mars-1"})
    assert price_call(None, {"SKU": 1}, {}, TODAY) == NotRoutable("no price sheet")
    assert "mars-1" in priced("rekognition", {"DetectLabels": 1}, book=mars).reason
    assert "DetectMood" in priced("rekognition", {"DetectMood": 1}).reason
    assert isinstance(position(BOOK["rekognition"], "DetectMood", {}, TODAY), NotRoutable)


def test_the_providers_month_turns_in_the_providers_zone():
    newyear_utc = datetime(2027, 1, 1, 7, 59, 59, tzinfo=UTC)
    assert BOOK["google_vision"].day_of(newyear_utc) == date(2026, 12, 31)
    assert BOOK["rekognition"].day_of(newyear_utc) == date(2027, 1, 1)


def test_a_position_tells_the_price_now_how_long_it_lasts_and_whether_its_source_says_so():
    free = position(BOOK["google_vision"], "OBJECT_LOCALIZATION", {"OBJECT_LOCALIZATION": 400}, TODAY)
    assert (free.unit_price, free.free_units_left, free.units_left_at_price, free.confirmed) == (FREE, 600, 600, True)
    assert (free.source, free.read_on) == ("https://cloud.google.com/vision/pricing", date(2026, 11, 22))
    first = position(BOOK["rekognition"], "DetectLabels", {"image group 2": 999_990}, TODAY)
    assert (str(first.unit_price), first.units_left_at_price, first.confirmed) == ("0.001", 10, True)
    last = position(BOOK["rekognition"], "DetectLabels", {"image group 2": 35_000_000}, TODAY)
    assert (str(last.unit_price), last.units_left_at_price, last.confirmed) == ("0.0004", None, False)
    elsewhere = load_prices(regions={"rekognition": "eu-central-1"})["rekognition"]
    assert not position(elsewhere, "DetectLabels", {}, TODAY).confirmed


def test_a_price_version_changes_with_what_decides_a_charge_and_with_nothing_else():
    def version(*tiers, **more):
        sheet = sheet_of(*tiers, **more)
        return sheet.version_of(sheet.prices[0])

    assert version((0, 5)) == version((0, 5), source="elsewhere", confirmed=False)
    assert len({version((0, 5)), version((0, 6)), version((0, 5), free_units=1), version((0, 5), (9, 5))}) == 4
    shared = replace(sheet_of((0, 5)), counted="list")
    assert shared.version_of(shared.prices[0]) != version((0, 5))


@st.composite
def tables(draw):
    edges = draw(st.lists(st.integers(1, 60), unique=True, max_size=4))
    return sheet_of(*((edge, draw(st.integers(0, 10**7))) for edge in [0, *sorted(edges)]), free_units=draw(st.integers(0, 40)))


def unit_by_unit(sheet, month):
    """The invoice, counted in the plainest way: each unit of the month by the row of the table it falls in."""
    (row,) = sheet.prices
    total = 0
    for ordinal in range(1, month + 1):
        if ordinal > row.free_units:
            total += [tier.unit_price.nanos for tier in row.tiers if tier.above < ordinal][-1]
    return Money(total)


@given(tables(), st.lists(st.integers(1, 20), max_size=20))
def test_charges_add_up_to_the_invoice_to_the_nano_dollar(sheet, calls):
    taken, charged = 0, FREE
    for units in calls:
        charged += price_call(sheet, {"SKU": units}, {"SKU": taken}, TODAY).total
        taken += units
    assert charged == unit_by_unit(sheet, taken)
