import re

import pytest

from cost.ledger import Budget
from cost.money import Money
from tests.gateway.web.browsers import Browser
from tests.gateway.web.spent import MARKUP
from tests.processes import ADMIN

FORM = {
    "name": "b",
    "limit_usd": "250.00",
    "period": "month",
    "timezone": "UTC",
    "scope": "global",
    "when_exhausted": "degrade",
    "alert_at": "",
}


@pytest.fixture
def ben(spent):
    """Another person of finance than the operator."""
    keys = spent.extensions["gateway"].keys
    keys.revoke("ben")
    browser = Browser(spent)
    browser.log_in(keys.create("ben", "finance")[1])
    return browser


def send(browser, address, **fields):
    return browser.post(address, FORM | fields, csrf=browser.csrf("/budgets"))


def budget(spent, name):
    return spent.test_client().get(f"/v1/budgets/{name}", headers={"Authorization": f"Bearer {ADMIN}"}).json


def test_a_budget_is_made_changed_and_ended_and_its_page_says_by_whom(spent, finance, ben):
    made = send(finance, "/budgets", name="shop", scope="client", scope_value="shop", alert_at="80, 95 %", pacing="on")
    assert (made.status_code, made.headers["Location"]) == (303, "/budgets/shop?done=made")
    assert budget(spent, "shop")["scope"] == {"client": "shop"}
    assert budget(spent, "shop")["alert_at"] == [0.8, 0.95]
    assert budget(spent, "shop")["pacing"] is True
    assert "multiplier" in budget(spent, "shop"), "it is paced at once"
    assert send(ben, "/budgets/shop", name="another", scope="client", scope_value="shop", limit_usd="300").status_code == 303
    assert budget(spent, "shop")["limit_usd"] == "300"
    page = finance.get("/budgets/shop").text
    history = re.sub(r"<[^>]+>", "", page.partition('class="history"')[2])
    assert re.search(r"ben\s+20\d\d.*limit \$250 → \$300.*bootstrap\s+20", history, re.DOTALL)
    assert ben.post("/budgets/shop/end", csrf=ben.csrf("/budgets")).headers["Location"] == "/budgets?done=ended"
    assert finance.get("/budgets/shop").status_code == 404
    assert "has ended" in finance.get("/budgets?done=ended").text


def test_a_budget_shows_what_its_window_has_seen_and_its_rows(spent, finance):
    send(finance, "/budgets", name="all", limit_usd="12.34")
    told, page = budget(spent, "all"), finance.get("/budgets/all").text
    while (later := budget(spent, "all")) != told:  # a second is over, and the forecast another
        told, page = later, finance.get("/budgets/all").text
    for name in ("settled_usd", "reserved_usd", "unknown_usd", "remaining_usd", "forecast_usd"):
        assert f'title="${told[name]}"' in page, name
    rows = re.search(r'href="(/costs/rows[^"]+)">Its rows', page).group(1).replace("&amp;", "&")
    assert f"${told['unknown_usd']}" in finance.get(rows).text
    assert 'class="line-actual"' in page
    assert 'class="line-pace"' in page


def test_all_problems_are_told_at_once_and_what_was_typed_stays(finance):
    typed = {"name": "a b", "limit_usd": "1,5", "timezone": "Mars/Olympus", "alert_at": "many", "scope": "tag", "scope_value": MARKUP}
    page = send(finance, "/budgets", **typed)
    assert page.status_code == 422
    for field in ("Name", "Limit", "Time zone", "Alerts", "Whose calls count"):
        assert f"<b>{field}</b>:" in page.text, field
    assert 'value="Mars/Olympus"' in page.text
    assert "<script>alert" not in page.text


@pytest.mark.parametrize("limit", ["-1", "1e3", "NaN", "", "0.0000000001", "12,50"])
def test_a_limit_that_is_no_amount_sets_nothing(spent, finance, limit):
    assert send(finance, "/budgets", name="none", limit_usd=limit).status_code == 422
    assert budget(spent, "none")["code"] == "not_found"


@pytest.mark.parametrize("alerts", ["nan", "80, nan", "inf", "-5", "101"])
def test_an_alert_at_no_share_of_the_limit_sets_nothing(spent, finance, alerts):
    assert send(finance, "/budgets", name="none", alert_at=alerts).status_code == 422
    assert budget(spent, "none")["code"] == "not_found"


def test_a_new_budget_never_changes_one_of_the_same_name(spent, finance):
    send(finance, "/budgets", name="kept", limit_usd="1")
    again = send(finance, "/budgets", name="kept", limit_usd="1000")
    assert "there is a budget of this name" in again.text
    assert budget(spent, "kept")["limit_usd"] == "1"


def test_a_budget_that_is_spent_or_at_risk_is_told_on_the_first_page(finance):
    send(finance, "/budgets", name="tight", limit_usd="0.01")
    send(finance, "/budgets", name="wide", limit_usd="9000")
    page = re.sub(r"<[^>]+>", "", finance.get("/").text)
    assert "tight is exhausted" in page
    assert "wide is" not in page
    assert "exhausted" in finance.get("/budgets/tight").text


def test_a_budget_of_a_provider_that_there_is_not_says_that_it_counts_nothing(finance):
    send(finance, "/budgets", name="mistyped", limit_usd="5", scope="provider", scope_value="google_vison")
    send(finance, "/budgets", name="right", limit_usd="5", scope="provider", scope_value="google_vision")
    said = "there is no provider of this name. There are: google_vision, local,"
    assert finance.get("/budgets").text.count(said) == 1
    assert said in finance.get("/budgets/mistyped").text
    assert said not in finance.get("/budgets/right").text


def test_a_budget_begins_anew_at_midnight_of_its_own_zone(finance):
    send(finance, "/budgets", name="berlin", limit_usd="5", timezone="Europe/Berlin")
    for address in ("/budgets", "/budgets/berlin"):
        assert re.search(r"-01 00:00 Europe/Berlin", finance.get(address).text)


def test_who_has_no_budget_is_told_what_one_is_for(logged_in):
    page = logged_in("finance").get("/budgets").text
    assert "No budgets yet" in page
    assert 'action="/budgets#new"' in page


def test_an_experiments_budget_has_no_pace_never_resets_and_stays_once_when_its_limit_is_changed(spent, finance):
    name = "experiment.which"
    spent.extensions["gateway"].ledger.put_budget(Budget(name, "tag", "a:b", "lifetime", "UTC", Money.usd("5")), by="anna")
    overview, page = finance.get("/budgets").text, finance.get(f"/budgets/{name}").text
    for text in (overview, page):
        assert "9999" not in text
        assert "tag a:b, once" in text
    assert "<dd>never</dd>" in overview
    assert "line-pace" not in page
    assert '<option value="lifetime" selected>' in page
    assert 'value="lifetime"' not in overview, "nobody makes one by hand"
    assert send(finance, f"/budgets/{name}", scope="tag", scope_value="a:b", period="lifetime", limit_usd="6").status_code == 303
    assert budget(spent, name)["limit_usd"] == "6"
    assert budget(spent, name)["period"] == "lifetime"
