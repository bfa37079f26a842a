import csv
import html
import io
import re
from datetime import date, timedelta

import pytest

from gateway.web.price_table import is_stale
from tests.gateway.web.browsers import Browser
from tests.gateway.web.spent import FORMULA, MARKUP
from tests.processes import ADMIN

AMOUNT = re.compile(r'<a href="(/costs/rows\?[^"]+)" title="([^"]+)">')


def amounts(page):
    """Every amount of a page that leads somewhere: (address, exact amount)."""
    return [(html.unescape(address), html.unescape(amount)) for address, amount in AMOUNT.findall(page)]


def totals(page):
    """The exact sums that a page of rows tells."""
    return dict(re.findall(r"<dt>(\w+)</dt><dd>(?:<span[^>]*>)?([^<]+)<", page))


def test_every_amount_of_the_report_opens_rows_that_add_up_to_it(finance):
    found = amounts(finance.get("/costs").text)
    assert len(found) > 20
    for address, amount in dict.fromkeys(found):
        page = finance.get(address)
        assert page.status_code == 200
        assert amount in page.text.partition("<table")[0], (address, amount)  # where the sums of all rows stand


def test_the_spend_is_what_the_api_says_to_the_last_nano_dollar(spent, finance):
    api = spent.test_client().get("/v1/costs", headers={"Authorization": f"Bearer {ADMIN}"}).json["total"]
    page = totals(finance.get("/costs/rows").text)
    assert page["Spent"] == f"${api['cost_usd']}"
    assert page["Held"] == f"${api['reserved_usd']}"
    assert page["Unknown"] == f"${api['unknown_usd']}"
    assert page["Avoided"] == f"${api['avoided_usd']}"
    assert f'title="${api["cost_usd"]}"' in finance.get("/costs").text


@pytest.mark.parametrize("address", ["/costs", "/costs/rows", "/costs?by_tag=campaign", "/"])
def test_names_that_would_like_to_be_markup_are_shown_as_they_are(finance, address):
    page = finance.get(address).text
    assert "<script>alert" not in page
    if address != "/":
        assert html.escape(MARKUP).replace("&quot;", "&#34;") in page


def test_files_are_those_of_the_api_and_harmless_in_a_spreadsheet(spent, finance):
    key = {"Authorization": f"Bearer {ADMIN}"}
    for page, resource, query in (
        ("/costs/report", "/v1/costs", "format=csv&group_by=client"),
        ("/costs/rows.csv", "/v1/costs/entries", "format=csv"),
    ):
        file = finance.get(f"{page}?{query}")
        assert file.text == spent.test_client().get(f"{resource}?{query}", headers=key).text
        assert "attachment" in file.headers["Content-Disposition"]
        cells = [cell for row in csv.reader(io.StringIO(file.text)) for cell in row]
        assert f"'{FORMULA}" in cells
        assert FORMULA not in cells


def test_rows_come_page_by_page_until_all_have_been_seen(finance):
    page = finance.get("/costs/rows").text
    assert page.count("<tr>") - 1 == 9
    assert "Older rows" not in page


def test_a_choice_narrows_the_rows_and_can_be_taken_back(finance):
    page = finance.get("/costs/rows?client=shop&tag=team:a").text
    chips = dict(re.findall(r'class="chip" href="([^"]+)"[^>]*>(\w+):', page))
    assert set(chips.values()) == {"client", "team"}
    assert "client=" not in html.unescape(next(address for address, word in chips.items() if word == "client"))
    kept = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.partition('class="row days"')[2]))
    assert kept["client"] == "shop"
    assert kept["tag"] == "team:a"


@pytest.mark.parametrize(
    "query", ["from=2026-13-01", "from=2026-11-02&to=2026-11-01", "unknown=1", "tag=x", "client=a&client=b", "cursor=x"]
)
def test_a_question_that_is_none_gets_a_page_that_says_so(finance, query):
    page = finance.get(f"/costs/rows?{query}")
    assert (page.status_code, page.mimetype) == (422, "text/html")


def test_days_without_calls_say_what_to_do(finance):
    page = finance.get("/costs?from=2020-01-01&to=2020-01-31")
    assert page.status_code == 200
    assert "No calls in these days" in page.text
    assert "curl" in page.text
    assert "No rows meet this" in finance.get("/costs/rows?from=2020-01-01&to=2020-01-31").text


@pytest.mark.parametrize("query", ["from=0001-01-01", "to=9999-12-31", "from=0001-01-01&to=9999-12-31"])
def test_any_period_is_drawn_from_its_first_to_its_last_call(spent, finance, query):
    page = finance.get(f"/costs?{query}").text
    assert "Spend by day" in page
    assert page.count('scope="row"') < 100
    assert finance.get(f"/costs/rows?{query}").status_code == 200
    in_house = spent.test_client().get(f"/v1/costs/in-house?{query}", headers={"Authorization": f"Bearer {ADMIN}"})
    assert in_house.status_code == 200


@pytest.mark.parametrize(("days", "stale"), [(0, False), (90, False), (91, True)])
def test_a_price_that_was_read_more_than_90_days_ago_is_marked(days, stale):
    today = date(2026, 11, 27)
    assert is_stale(today - timedelta(days=days), today) is stale


def test_prices_are_shown_with_where_and_when_they_were_read(spent, finance):
    keys = spent.extensions["gateway"].keys
    keys.revoke("caller")
    app_role = Browser(spent)
    app_role.log_in(keys.create("caller", "app")[1])
    for page in (finance.get("/costs").text, finance.get("/prices").text, app_role.get("/prices").text):
        assert 'href="https://cloud.google.com/vision/pricing" rel="noreferrer noopener">2026-' in page
        assert "OBJECT_LOCALIZATION" in page
    assert app_role.get("/costs").status_code == 403


def test_the_months_end_is_that_of_the_api_on_both_pages(spent, finance):
    told = spent.test_client().get("/v1/costs/forecast", headers={"Authorization": f"Bearer {ADMIN}"}).json["total"]
    assert f'title="${told["forecast_usd"]}"' in finance.get("/").text
    page = finance.get("/costs").text.partition('id="forecast"')[2].partition("</section>")[0]
    assert "no history to forecast from" in page or f'title="${told["forecast_usd"]}"' in page


def test_simulated_is_said_on_every_page(finance):
    for address in ("/", "/costs", "/costs/rows", "/budgets", "/prices", "/nowhere", "/login"):
        assert "Simulated." in finance.get(address).text, address
    assert finance.get("/openapi.json").json["info"]["title"] == "vision-gateway (simulated)"  # which /docs shows
