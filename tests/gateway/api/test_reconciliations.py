import io
import json

import pytest

from cost.ledger import Hold
from gateway import uploads
from tests.gateway.apps import admin_of, app_of

ADDRESS = "/v1/costs/reconciliations"
HEADER = "BilledCost,BillingCurrency,ChargeCategory,ChargePeriodStart,PricingQuantity,RegionId,ServiceName,SkuId\n"


@pytest.fixture
def gateway(tmp_path):
    """A gateway with three settled calls and one that may have been billed, for 0.0015 USD each."""
    prices = tmp_path / "prices.toml"
    price = '[[acme.price]]\nskus = ["LOOK"]\ntiers = [{ usd_per_1000 = "1.50" }]\n'
    prices.write_text(f'[acme]\nsource = "x"\nservice = "Acme Vision"\nread_on = 2026-11-01\n{price}')
    app = app_of(tmp_path, GATEWAY_PRICES=str(prices))
    ledger = app.extensions["gateway"].ledger
    words = {"client": "shop", "features": frozenset({"objects"}), "timeout_s": 1e6}
    for number in range(4):
        attempt_id = ledger.reserve(Hold(provider="acme", usage={"LOOK": 1}, request_id=f"r{number}", **words)).attempt_id
        if number:
            ledger.settle(attempt_id)
        else:
            ledger.unknown(attempt_id, outcome="timeout")
    yield app
    app.extensions["gateway"].close()


@pytest.fixture
def finance(gateway):
    return admin_of(gateway)


@pytest.fixture
def invoice(gateway):
    """What the provider says: five units at 0.0016 USD."""
    day = gateway.extensions["gateway"].ledger.now().date()
    return f"{HEADER}0.008,USD,Usage,{day}T00:00:00Z,5,,Acme Vision,LOOK\n".encode()


def test_an_invoice_is_compared_opened_and_accepted_once(finance, invoice):
    sent = finance.post(f"{ADDRESS}?name=november.csv", data=invoice, content_type="text/csv")
    assert (sent.status_code, sent.json["state"], sent.json["format"], sent.json["file_name"]) == (201, "open", "focus", "november.csv")
    (finding,) = sent.json["findings"]
    assert (finding["variance_units"], finding["variance_usd"]) == (2, "0.0035")
    assert [(cause["cause"], cause["amount_usd"]) for cause in finding["causes"]] == [
        ("unknown_attempts", "0.0015"),
        ("other_user", "0.0016"),
        ("price_changed", "0.0004"),
    ]
    one = f"{ADDRESS}/{sent.json['id']}"
    assert finance.get(one).json["findings"] == [finding]
    for _ in range(2):
        accepted = finance.post(f"{one}/accept")
        assert accepted.status_code == 200
        assert [accepted.json[name] for name in ("state", "accepted_by", "variance_usd")] == ["accepted", "bootstrap", "0"]
    (before,) = accepted.json["accepted_findings"]
    total = finance.get("/v1/costs?from=2000-01-01&to=2100-01-01").json["total"]
    assert (total["cost_usd"], total["unknown_usd"], total["billed_units"]) == ("0.008", "0", 5)
    rows = finance.get("/v1/costs/entries?from=2000-01-01&to=2100-01-01").json["entries"]
    assert [row["id"] for row in rows if row["kind"] == "correction"] == [before["correction_id"]]
    assert [record["id"] for record in finance.get(ADDRESS).json["reconciliations"]] == [sent.json["id"]]
    focus = finance.get("/v1/costs?from=2000-01-01&to=2100-01-01&format=focus").text
    assert focus.count(",Correction,") == 1


def test_a_file_in_a_form_and_the_same_file_again_are_one_reconciliation(finance, invoice):
    form = finance.post(ADDRESS, data={"file": (io.BytesIO(invoice), "invoices/nov.csv")})
    again = finance.post(ADDRESS, data=invoice, content_type="application/octet-stream")
    assert form.json["file_name"] == "nov.csv"
    assert form.json["id"] == again.json["id"]


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (HEADER + "1,USD,Usage,2026-11-01T00:00:00Z,many,,Acme Vision,LOOK\n", {"line": 2, "column": "PricingQuantity"}),
        (HEADER + "1,USD,Usage\n", {"line": 2, "column": "ChargePeriodStart"}),
        ("a,b\n", {}),
        ("", {}),
    ],
)
def test_a_malformed_file_is_a_problem_that_names_line_and_column(finance, data, place):
    answer = finance.post(ADDRESS, data=data.encode(), content_type="text/csv")
    assert (answer.status_code, answer.json["code"], answer.json["parameter"]) == (422, "invalid_parameter", "file")
    assert {name: answer.json.get(name) for name in place} == place
    assert json.loads(finance.get(ADDRESS).text) == {"reconciliations": []}


def test_a_file_over_the_limit_is_refused(finance, invoice, monkeypatch):
    monkeypatch.setattr(uploads, "UPLOAD_BYTES_MAX", 50)
    answer = finance.post(ADDRESS, data=invoice, content_type="text/csv")
    assert (answer.status_code, answer.json["code"]) == (413, "file_too_large")


def test_a_form_without_one_file_is_refused(finance, invoice):
    for form in ({}, {"other": (io.BytesIO(invoice), "x")}, {"file": "text"}):
        answer = finance.post(ADDRESS, data=form, content_type="multipart/form-data")
        assert (answer.status_code, answer.json["parameter"]) == (422, "file")


@pytest.mark.parametrize(("method", "path"), [("get", "/x"), ("post", "/x/accept")])
def test_what_is_not_there_is_not_found(finance, method, path):
    assert getattr(finance, method)(ADDRESS + path).status_code == 404


def test_invoices_are_for_finance(finance, gateway, invoice):
    key = finance.post("/v1/keys", json={"name": "shop", "role": "app"}).json["key"]
    app = gateway.test_client()
    for method, path in [("get", ""), ("post", ""), ("get", "/x"), ("post", "/x/accept")]:
        assert getattr(app, method)(ADDRESS + path, headers={"Authorization": f"Bearer {key}"}).status_code == 403
