from datetime import date

import pytest

from cost.price_files import BUILT_IN, BadPriceSheet, load_prices
from cost.price_sheets import price_call

OWN = """
[google_vision]
source = "contract 4711"
read_on = 2026-11-01
[[google_vision.price]]
skus = ["LABEL_DETECTION"]
tiers = [{ usd_per_1000 = "1.234567" }]

[azure_vision]
source = "https://example.org/prices"
read_on = 2026-11-02
[[azure_vision.price]]
skus = ["Analyze"]
tiers = [{ usd_per_1000 = "1" }]
"""


@pytest.fixture
def load(tmp_path):
    def load(text):
        path = tmp_path / "own.toml"
        path.write_text(text)
        return load_prices(path)

    return load


def test_every_built_in_sheet_says_where_and_when_it_was_read():
    book = load_prices()
    assert sorted(book) == sorted(path.stem for path in BUILT_IN.glob("*.toml"))
    assert all(price.source and price.read_on > date(2026, 1, 1) for sheet in book.values() for price in sheet.prices)


def test_only_in_house_models_are_imputed():
    assert {name for name, sheet in load_prices().items() if sheet.imputed} == {"local", "local_candidate"}


def test_a_deployments_sheet_takes_the_place_of_the_built_in_one_and_leaves_the_others(load):
    book = load(OWN)
    own = price_call(book["google_vision"], {"LABEL_DETECTION": 1}, {}, date(2026, 11, 22))
    assert str(own.total) == "0.001234567"
    assert book["google_vision"].price_of("OBJECT_LOCALIZATION", date(2026, 11, 22)) is None
    assert book["azure_vision"].provider == "azure_vision"
    assert book["rekognition"] == load_prices()["rekognition"]


def test_the_form_that_the_readme_shows_is_the_form_that_is_read(load):
    example = (BUILT_IN / "README.md").read_text().split("```toml\n")[1].split("```")[0]
    sheet, day = load(example)["google_vision"], date(2026, 11, 22)
    costs = [price_call(sheet, {"SAFE_SEARCH_DETECTION": 1}, {"all labels": used}, day).total for used in (999, 1_000)]
    assert [str(cost) for cost in costs] == ["0", "0.0015"]


def test_all_problems_are_told_at_once_each_with_its_place(load):
    with pytest.raises(BadPriceSheet) as caught:
        load(
            """
            [cloud]
            source = ""
            timezone = "Mars/Olympus"
            colour = "blue"
            [[cloud.price]]
            skus = ["A"]
            tiers = [{ usd_per_1000 = 1.5 }, { above = 5, usd_per_1000 = "0.0000001" }]
            [[cloud.price]]
            skus = []
            tiers = [{ above = 1, usd_per_1000 = "1" }]
            """
        )
    places = {problem.split(": ")[1] for problem in caught.value.problems}
    assert places == {
        "cloud.source",
        "cloud.read_on",
        "cloud.timezone",
        "cloud.colour",
        "cloud.price[0].tiers[0].usd_per_1000",
        "cloud.price[0].tiers[1].usd_per_1000",
        "cloud.price[1].skus",
        "cloud.price[1].tiers",
    }


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (('usd_per_1000 = "1"', 'usd_per_1000 = "-1"'), "whole number of nano-dollars"),
        (('usd_per_1000 = "1"', 'usd_per_1000 = "1e3"'), "not a decimal number"),
        (('skus = ["Analyze"]', 'skus = ["Analyze", "Analyze"]'), "two prices for Analyze in region *"),
        (('skus = ["Analyze"]', 'skus = ["Analyze"]\nfree_with = "Other"'), "free_with names Other"),
        (('[{ usd_per_1000 = "1" }]', '[{ usd_per_1000 = "1" }, { usd_per_1000 = "2" }]'), "ascending"),
        (("read_on = 2026-11-02", 'read_on = "soon"'), "valid date"),
        (("[azure_vision]", "[azure_vision"), "own.toml"),
    ],
)
def test_a_sheet_that_could_be_read_two_ways_is_refused(load, change, problem):
    with pytest.raises(BadPriceSheet, match=problem.replace("*", r"\*")):
        load(OWN.replace(*change))
