import csv
import io
import re
from datetime import UTC, datetime

import pytest

from tests.gateway.web.browsers import BROWSER
from tests.gateway.web.spent import MARKUP
from tests.processes import ADMIN

COLUMNS = ("service.description", "sku.description", "usage_start_time", "usage.amount", "cost", "currency")


def invoice(**units):
    """A Google Cloud billing export of today, at the list price."""
    file = io.StringIO()
    lines = csv.writer(file)
    lines.writerow(COLUMNS)
    for sku, amount in units.items():
        price = "0.00225" if sku == "OBJECT_LOCALIZATION" else "0.0015"
        cost = f"{amount * int(price[2:].ljust(5, '0')) / 100_000:.5f}"
        lines.writerow(("Cloud Vision API", sku, f"{datetime.now(UTC):%Y-%m-%d} 00:00:00 UTC", amount, cost, "USD"))
    return file.getvalue().encode()


def send(browser, content, name="invoice.csv"):
    form = {"csrf": browser.csrf("/budgets"), "file": (io.BytesIO(content), name)}
    return browser.client.post("/costs/invoices", data=form, headers=BROWSER, content_type="multipart/form-data")


def test_an_invoice_is_compared_accepted_and_then_the_ledger_says_what_it_says(spent, finance):
    sent = send(finance, invoice(OBJECT_LOCALIZATION=3100, TEXT_DETECTION=3010), name=f"{MARKUP.replace('/', '')}.csv")
    assert sent.status_code == 303
    address = sent.headers["Location"]
    page = finance.get(address).text
    assert "<script>alert" not in page
    assert "Another user of the account" in page
    assert "Calls that may have been billed" in page
    assert send(finance, invoice(OBJECT_LOCALIZATION=3100, TEXT_DETECTION=3010)).headers["Location"] == address
    accepted = finance.post(address, csrf=finance.csrf("/budgets"))
    assert accepted.headers["Location"] == f"{address}?done=accepted"
    page = finance.get(f"{address}?done=accepted").text
    assert "Accepted. The ledger says what the invoice says." in page
    assert figure(page, "Ledger now") == figure(page, "Invoice") != figure(page, "Ledger before")
    assert "bootstrap" in page
    assert 'action="/costs/invoices/' not in page
    again = finance.post(address, csrf=finance.csrf("/budgets"))
    assert again.status_code == 303
    rows = re.search(r'href="(/costs/rows[^"]+)"', page).group(1).replace("&amp;", "&")
    assert "correction" in finance.get(rows).text
    key = {"Authorization": f"Bearer {ADMIN}"}
    total = spent.test_client().get("/v1/costs?group_by=sku&provider=google_vision", headers=key).json
    units = {row["sku"]: row["billed_units"] for row in total["rows"]}
    assert (units["OBJECT_LOCALIZATION"], units["TEXT_DETECTION"]) == (3100, 3010)


def test_what_still_differs_after_the_acceptance_is_told(spent, finance):
    address = send(finance, invoice(OBJECT_LOCALIZATION=1)).headers["Location"]
    finance.post(address, csrf=finance.csrf("/budgets"))
    page = finance.get(f"{address}?done=accepted").text
    assert "Accepted. The ledger still differs: rows the invoice does not have (−$" in page
    assert figure(page, "Ledger now") != figure(page, "Invoice")


def figure(page, name):
    return re.search(rf"<dt>{name}</dt><dd>.*?title=\"([^\"]+)\"", page).group(1)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "invoice.csv:"),
        (b"a,b\n1,2\n", "invoice.csv:"),
        (b"\x00\xff" * 50, "invoice.csv:"),
        (invoice(OBJECT_LOCALIZATION=1)[:40], "invoice.csv:"),
    ],
)
def test_a_file_that_is_no_invoice_is_refused_with_its_reason(finance, content, said):
    page = send(finance, content)
    assert page.status_code == 422
    assert said in page.text
    assert 'role="alert"' in page.text


def test_no_file_and_no_such_invoice_are_told(finance):
    assert "Choose a file first" in finance.post("/costs/invoices", csrf=finance.csrf("/budgets")).text
    assert finance.get("/costs/invoices/none").status_code == 404
    assert finance.post("/costs/invoices/none", csrf=finance.csrf("/budgets")).status_code == 404
