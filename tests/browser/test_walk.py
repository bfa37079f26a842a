"""What a person of finance does with the pages, in a real browser. `make test-browser` runs all of it and keeps screenshots."""

import csv

import pytest

from gateway.web import PAGES
from tests.processes import ADMIN, ROOT

ADDRESSES = (
    *(address for address, page in PAGES.items() if page.word and address != "/docs/"),
    "/docs/errors",
    "/costs/rows",
    "/costs/invoices",
    "/budgets/everything",
    "/login",
    "/nowhere",
)
"""Every page of the navigation, and what is behind it; the API's is in `test_docs.py`."""

SCREENSHOTS = ROOT / "var" / "screenshots"


def test_a_newcomer_finds_the_login_and_finance_reads_the_month_down_to_its_rows(walk, gateway):
    with walk() as person:
        page = person.page
        page.goto("/")
        assert page.get_by_text("Simulated.").is_visible()
        for who in ("Finance", "Engineers", "Choosing providers"):
            assert page.get_by_text(who, exact=True).is_visible()
        assert person.serious() == []
        person.follow(page.get_by_role("link", name="Costs", exact=True).first)
        page.get_by_label("API key").fill(gateway.finance)
        person.follow(page.get_by_role("button", name="Log in"))
        assert page.url.endswith("/costs")
        person.follow(page.get_by_role("link", name="7 days"))
        spent = person.figure("Spent").locator("[title]")
        exact = spent.get_attribute("title")
        assert person.serious() == []
        person.follow(spent)
        assert person.figure("Spent").inner_text().startswith(exact)
        assert page.get_by_role("row").count() > 10
        assert person.serious() == []
        with page.expect_download() as download:
            page.get_by_role("link", name="All rows as CSV").click()
        rows = csv.DictReader(download.value.path().read_text(encoding="utf-8").splitlines())
        assert len(list(rows)) > 100
        person.follow(page.get_by_role("button", name="Log out"))
        page.goto("/costs")
        assert page.get_by_label("API key").is_visible()


def test_a_budget_is_set_on_a_phone_and_its_history_says_by_whom(walk, gateway):
    with walk(width=390) as person:
        page = person.page
        person.log_in(gateway.finance)
        page.goto("/budgets")
        assert person.serious() == []
        page.get_by_label("Name").fill("phone")
        page.get_by_label("Limit in USD").fill("12.50")
        page.get_by_label("Whose calls count").select_option(label="one client's")
        page.get_by_label("Which one").fill("shop-backend")
        person.follow(page.get_by_role("button", name="Make the budget"))
        assert page.get_by_text("The budget is in force.").is_visible()
        page.get_by_label("Limit in USD").fill("15")
        person.follow(page.get_by_role("button", name="Change the budget"))
        history = page.locator("#history")
        assert "limit $12.5 → $15" in history.inner_text()
        assert "anna" in history.inner_text()
        assert not person.overflows()
        assert person.serious() == []


def test_finance_exports_focus_compares_an_invoice_and_accepts_the_corrections(walk, gateway):
    with walk() as person:
        page = person.page
        person.log_in(gateway.finance)
        page.goto("/costs")
        person.follow(page.get_by_role("link", name="30 days"))
        with page.expect_download() as download:
            page.get_by_role("link", name="FOCUS 1.2 as CSV").click()
        rows = list(csv.DictReader(download.value.path().read_text(encoding="utf-8").splitlines()))
        assert {"BilledCost", "ChargePeriodStart", "ServiceName"} <= set(rows[0])
        person.follow(page.get_by_role("link", name="Compare an invoice"))
        page.get_by_label("Invoice export").set_input_files(gateway.invoice)
        person.follow(page.get_by_role("button", name="Compare it with the ledger"))
        assert page.get_by_role("row", name="Another user of the account").first.is_visible()
        assert person.serious() == []
        person.follow(page.get_by_role("button", name="Accept and book"))
        assert page.get_by_text("Accepted. The ledger says what the invoice says.").is_visible()
        person.follow(person.figure("Ledger now").get_by_role("link"))
        assert page.get_by_text("correction").first.is_visible()


@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_can_be_used_without_a_mouse(walk, width):
    with walk(width) as person:
        page = person.page
        person.log_in(ADMIN)
        for address in ADDRESSES:
            page.goto(address)
            assert person.tab_through() == []
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert page.evaluate("document.querySelector('main').contains(document.activeElement)"), "the first stop skips the navigation"
        person.problems = [problem for problem in person.problems if "404" not in problem]  # /nowhere is meant


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_is_readable_by_everybody_at_every_width(walk, width, scheme):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with walk(width, scheme) as person:
        person.log_in(ADMIN)
        for address in ADDRESSES:
            person.page.goto(address)
            name = address.strip("/").replace("/", "-") or "start"
            person.page.screenshot(path=SCREENSHOTS / f"{name}-{width}-{scheme}.png", full_page=True)
            assert person.serious() == []
            assert not person.overflows(), address
        person.problems = [problem for problem in person.problems if "404" not in problem]  # /nowhere is meant
