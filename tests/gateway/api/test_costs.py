import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from pyarrow import parquet

from cost.ledger import Correction, Hold, UsageRow
from cost.money import FREE, Money
from tests.gateway.apps import admin_of, app_of
from tests.waiting import until

EVER = "from=2000-01-01&to=2100-01-01"
CSV_OF_ENTRIES = "/v1/costs/entries?format=csv&"
SUMS = ("cost_usd", "reserved_usd", "unknown_usd", "imputed_usd", "avoided_usd", "avoided_cache_usd", "avoided_joined_usd")


@pytest.fixture(scope="module")
def books(tmp_path_factory):
    """A gateway with some traffic; clients named as spreadsheets fear them."""
    folder = tmp_path_factory.mktemp("books")
    prices = folder / "prices.toml"
    prices.write_text(
        '[acme]\nsource = "x"\nread_on = 2026-11-01\n[[acme.price]]\nskus = ["LOOK", "READ"]\ntiers = [{ usd_per_1000 = "1.50" }]\n'
    )
    app = app_of(folder, GATEWAY_PRICES=str(prices))
    ledger = app.extensions["gateway"].ledger
    for number in range(12):
        held = ledger.reserve(
            Hold(
                provider="acme",
                usage={"LOOK": number + 1} if number % 3 else {"LOOK": 1, "READ": 2},
                request_id=f"r{number}",
                client="=cmd|'/c calc'!A1" if number % 2 else "<b>shop</b>",
                features=frozenset({"objects"}),
                timeout_s=1e6,
                tags={"team": "+1"} if number % 4 else {},
            )
        )
        if number < 9:
            ledger.settle(held.attempt_id)
        elif number == 9:
            ledger.unknown(held.attempt_id, outcome="timeout")
    day = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
    ledger.correct(Correction(day=day, provider="acme", sku="LOOK", amount=Money(-1_500_001), units=-1, reason="invoice"))
    for kind in ("in_house", "hit", "joined"):
        words = {"client": "shop", "provider": "local", "features": frozenset({"objects"}), "sku": "picture"}
        ledger.record_usage(UsageRow(kind=kind, request_id="u", imputed=Money(7), avoided=Money(1_500_000), **words))
    yield app
    app.extensions["gateway"].close()


@pytest.fixture
def finance(books):
    client = admin_of(books)
    wait_for_usage(client, "provider=local", "0.0045")
    return client


def wait_for_usage(client, query, avoided_usd):
    """Answers that cost nothing are written behind the requests."""
    until(lambda: client.get(f"/v1/costs?{EVER}&{query}").json["total"]["avoided_usd"] == avoided_usd)


def nanos(row):
    return {name: Money.usd(row[name]).nanos for name in SUMS}


def added(rows):
    found = [nanos(row) for row in rows]
    return {name: sum(row[name] for row in found) for name in SUMS}


@pytest.mark.parametrize("group_by", ["", "provider", "day,client", "sku,feature", "tag:team,client,tag:none,provider", "tag:=1"])
def test_rows_add_up_to_the_total_as_json_and_as_csv_and_open_down_to_their_entries(finance, group_by):
    report = finance.get("/v1/costs", query_string=f"{EVER}&group_by={group_by}").json
    whole = finance.get(f"/v1/costs?{EVER}&group_by=").json["total"]
    assert added(report["rows"]) == nanos(report["total"]) == nanos(whole)
    text = finance.get("/v1/costs", query_string=f"{EVER}&group_by={group_by}&format=csv").text
    assert added(csv.DictReader(io.StringIO(text))) == nanos(whole)
    for row in report["rows"]:
        asked = dict.fromkeys(("from", "to"), row["day"]) if "day" in row else {"from": "2000-01-01", "to": "2100-01-01"}
        asked |= {name: row[name] for name in ("provider", "sku", "feature", "client") if name in row}
        tags = [f"{name.removeprefix('tag:')}:{value}" for name, value in row.items() if name.startswith("tag:")]
        page = finance.get("/v1/costs/entries", query_string=asked | ({"tag": ",".join(tags)} if tags else {}) | {"limit": 1000}).json
        assert added(page["entries"]) == nanos(page["total"]) == nanos(row)


def test_entries_come_in_pages_and_whole_as_csv(finance):
    pages, cursor = [], None
    while True:
        page = finance.get("/v1/costs/entries", query_string=f"{EVER}&limit=4" + (f"&cursor={cursor}" if cursor else "")).json
        assert len(page["entries"]) <= 4
        pages += page["entries"]
        cursor = page.get("next")
        if not cursor:
            break
    file = list(csv.DictReader(io.StringIO(finance.get(f"/v1/costs/entries?{EVER}&format=csv").text)))
    assert [(row["id"], row["line"]) for row in file] == [(entry["id"], str(entry["line"])) for entry in pages]
    assert len({(entry["id"], entry["line"], entry["kind"]) for entry in pages}) == len(pages) == 12 + 4 + 1 + 3
    assert added(file) == added(pages)


def test_the_same_money_comes_as_focus_in_csv_and_in_parquet(finance):
    spend = Money.usd(finance.get(f"/v1/costs?{EVER}").json["total"]["cost_usd"])
    rows = list(csv.DictReader(io.StringIO(finance.get(f"/v1/costs?{EVER}&format=focus").text)))
    assert sum((Money.usd(row["BilledCost"]) for row in rows), FREE) == spend
    file = finance.get(f"/v1/costs?{EVER}&format=focus_parquet")
    table = parquet.read_table(io.BytesIO(file.data))
    assert sum(table["BilledCost"].to_pylist()) == Decimal(str(spend))
    assert file.headers["Content-Disposition"].endswith('.parquet"')


@pytest.mark.parametrize(
    "address", ["/v1/costs?format=focus&", "/v1/costs?group_by=client,tag:team&format=csv&", "/v1/costs/entries?format=csv&"]
)
def test_no_name_in_a_file_begins_a_formula_and_negative_amounts_stay_numbers(finance, address):
    cells = [cell for row in csv.reader(io.StringIO(finance.get(address + EVER).text)) for cell in row]
    assert "'=cmd|'/c calc'!A1" in cells
    negative = [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]
    assert all(Money.usd(cell) for cell in negative)


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("group_by=colour", "group_by"),
        ("group_by=day,day", "group_by"),
        ("group_by=tag:%00", "group_by"),
        ("from=2026-02-02&to=2026-02-01", "to"),
        ("from=yesterday", "from"),
        ("format=xml", "format"),
        ("client=%00", "client"),
        ("tag=team", "tag"),
        ("tag=a:1,a:2", "tag"),
        ("limit=5", "limit"),
    ],
)
def test_what_is_wrong_with_a_report_is_named(finance, query, parameter):
    answer = finance.get(f"/v1/costs?{query}")
    assert not re.search("input|should be", answer.json["detail"], re.IGNORECASE), "pydantic's words are for programmers"
    assert (answer.status_code, answer.json["code"], answer.json["parameter"]) == (422, "invalid_parameter", parameter)


@pytest.mark.parametrize("query", ["cursor=x", "limit=0", "limit=1001", "cursor=x&format=csv"])
def test_what_is_wrong_with_a_page_is_named(finance, query):
    answer = finance.get(f"/v1/costs/entries?{query}")
    assert (answer.status_code, answer.json["parameter"]) == (422, query.partition("=")[0])


def test_reports_and_rows_are_for_finance(finance, books):
    for role, status in (("finance", 200), ("app", 403)):
        key = finance.post("/v1/keys", json={"name": f"the {role}", "role": role}).json["key"]
        for address in ("/v1/costs", "/v1/costs/entries", "/v1/costs/forecast"):
            assert books.test_client().get(address, headers={"Authorization": f"Bearer {key}"}).status_code == status
    assert books.test_client().get("/v1/costs/entries").status_code == 401


def test_a_large_report_is_one_json_document(finance, books):
    ledger = books.extensions["gateway"].ledger
    for number in range(300):
        tags = {"run": f"{number:03}" + "x" * 100}
        ledger.record_usage(
            UsageRow(
                kind="hit",
                request_id="u",
                client="many",
                provider="many",
                features=frozenset(),
                sku="picture",
                avoided=Money(1),
                tags=tags,
            )
        )
    wait_for_usage(finance, "client=many", "0.0000003")
    answer = finance.get(f"/v1/costs?{EVER}&client=many&group_by=tag:run,day&format=json")
    assert len(answer.text) > 1 << 16
    assert added(json.loads(answer.text)["rows"]) == nanos(json.loads(answer.text)["total"])


def test_the_forecast_tells_the_month_s_end_by_provider_and_in_all(finance):
    found = finance.get("/v1/costs/forecast").json
    (row,) = found["rows"]
    assert (row["provider"], found["coverage"], row["method"] in ("none", "mean")) == ("acme", 0.8, True)
    assert Money.usd(row["forecast_usd"]) >= Money.usd(row["spent_usd"])
    assert found["total"]["forecast_usd"] == row["forecast_usd"]
    assert "low_usd" not in row
    assert "backtest" not in row
