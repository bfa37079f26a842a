import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from cost.ledger import Hold, Ledger
from cost.price_files import load_prices
from gateway.cli import main
from gateway.database import prepare_database


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs commands on a ledger with two settled calls, for 0.00225 USD each."""
    prices = tmp_path / "prices.toml"
    price = '[[google_vision.price]]\nskus = ["OBJECT_LOCALIZATION"]\ntiers = [{ usd_per_1000 = "2.25" }]\n'
    prices.write_text(f'[google_vision]\nsource = "x"\nservice = "Cloud Vision API"\nread_on = 2026-11-01\n{price}')
    for name, value in {"DATABASE_URL": f"sqlite:///{tmp_path}/gateway.db", "SPOOL": tmp_path / "spool", "PRICES": prices}.items():
        monkeypatch.setenv(f"GATEWAY_{name}", str(value))
    ledger = Ledger(prepare_database(f"sqlite:///{tmp_path}/gateway.db"), load_prices(prices), spool=tmp_path / "spool")
    for _ in range(2):
        words = {"client": "shop", "features": frozenset({"objects"}), "timeout_s": 9}
        ledger.settle(ledger.reserve(Hold(provider="google_vision", usage={"OBJECT_LOCALIZATION": 1}, request_id="r", **words)).attempt_id)
    ledger.close()
    return lambda *arguments: CliRunner().invoke(main, list(arguments))


@pytest.fixture
def invoice(tmp_path):
    row = {
        "service": {"description": "Cloud Vision API"},
        "sku": {"description": "Object Localization Operations"},
        "usage_start_time": f"{datetime.now(UTC):%Y-%m-%d} 00:00:00 UTC",
        "usage": {"amount": 3},
        "cost": "0.00675",
        "currency": "USD",
    }
    (tmp_path / "nov.json").write_text(json.dumps(row))
    return str(tmp_path / "nov.json")


def test_an_invoice_is_compared_and_accepted_on_the_command_line(run, invoice):
    said = run("reconcile", invoice)
    assert said.exit_code == 0, said.output
    assert "other_user: 1 units, 0.00225 USD" in said.output
    assert "0 of 1 days of a SKU agree" in said.output
    accepted = json.loads(run("reconcile", invoice, "--accept", "--json").stdout)
    assert (accepted["state"], accepted["variance_usd"]) == ("accepted", "0")
    assert accepted["accepted_by"].endswith("(command line)")
    total = json.loads(run("report", "--json", "--group-by", "tag:team,sku,tag:other").stdout)["total"]
    assert (total["cost_usd"], total["billed_units"]) == ("0.00675", 3)


def test_what_agrees_is_counted_and_not_listed(run, tmp_path, invoice):
    row = json.loads(Path(invoice).read_text())
    Path(invoice).write_text(json.dumps(row | {"usage": {"amount": 2}, "cost": "0.0045"}))
    said = run("reconcile", invoice)
    assert "1 of 1 days of a SKU agree" in said.output
    assert "differs by" not in said.output
    assert "left over: 0 units, 0 USD" in said.output


def test_the_report_is_a_table_whose_last_line_is_the_sum(run):
    lines = run("report", "--group-by", "provider,client").output.splitlines()
    assert lines[0].split()[:4] == ["provider", "client", "calls", "billed_units"]
    assert lines[-1].split()[:4] == ["total", "2", "2", "0.0045"]


def test_a_malformed_file_is_told_with_its_line(run, tmp_path):
    (tmp_path / "bad.csv").write_text("a,b\n")
    said = run("reconcile", str(tmp_path / "bad.csv"))
    assert said.exit_code == 1
    assert "bad.csv: " in said.output
