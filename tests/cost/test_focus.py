"""FOCUS 1.2's rules that a file of ours can break, those among them that focus-validator does not check or gets wrong.

Skipped by the validator because they are "dynamic": ChargeClass-C-003/004, EffectiveCost-C-010, SkuPriceId-C-008/009, periods' bounds.
Wrong: InvoiceId-C-004 and -C-005 contradict each other without their conditions, so one of them always fails there.
"""

import io
import json
import re
import shutil
import tempfile
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from cost.database import open_database, read_snapshot
from cost.focus import AMOUNTS, COLUMNS, NUMBERS, TIMES, focus_rows
from cost.ledger import Correction, CostFilter, Ledger, all_entries, cost_rows
from cost.ledger.reports import total
from cost.money import Money
from cost.parquet import parquet_pieces
from cost.price_files import load_prices
from cost.price_sheets import Price, PriceSheet, Tier
from tests.cost.clocks import FakeClock
from tests.cost.ledger.test_details import TRAFFIC, make
from tests.cost.sheets import BOOK, hold

EVER = CostFilter(first=date(2000, 1, 1), last=date(2100, 1, 1))
MANDATORY = {
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodStart", "BillingPeriodEnd", "ChargeCategory",
    "ChargeClass", "ChargeDescription", "ChargePeriodStart", "ChargePeriodEnd", "ContractedCost", "EffectiveCost", "InvoiceIssuerName",
    "ListCost", "PricingCategory", "PricingQuantity", "PricingUnit", "ProviderName", "PublisherName", "ServiceCategory", "ServiceName",
}  # fmt: skip
NEVER_NULL = MANDATORY - {"ChargeClass", "PricingCategory", "PricingQuantity", "PricingUnit"}
PRICED = (
    "PricingQuantity",
    "PricingUnit",
    "PricingCategory",
    "ListUnitPrice",
    "ContractedUnitPrice",
    "SkuId",
    "SkuPriceId",
    "ConsumedQuantity",
)
OF_1_3 = {"ServiceProviderName", "HostProviderName"}
NUMBER = re.compile(r"-?\d+\.\d+")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def check_row(row):
    """What FOCUS demands of one row."""
    assert tuple(row) == COLUMNS
    assert all(row[name] for name in NEVER_NULL | OF_1_3), row
    for name, text in row.items():
        if text is not None:
            assert name not in NUMBERS or NUMBER.fullmatch(text), (name, text)
            assert name not in TIMES or TIME.fullmatch(text), (name, text)
            assert text.strip(), name  # StringHandling-A-007
    usage, correction = row["ChargeCategory"] == "Usage", row["ChargeClass"] == "Correction"
    assert row["ChargeCategory"] in ("Usage", "Adjustment")
    assert row["ChargeClass"] in (None, "Correction")
    assert row["BillingCurrency"] == "USD"
    assert row["BillingPeriodStart"] < row["BillingPeriodEnd"]
    assert row["ChargePeriodStart"] < row["ChargePeriodEnd"]
    if usage and not correction:
        for name in PRICED:
            assert row[name] is not None, name
        quantity = Decimal(row["PricingQuantity"])
        assert Decimal(row["ListUnitPrice"]) * quantity == Decimal(row["ListCost"])
        assert Decimal(row["ContractedUnitPrice"]) * quantity == Decimal(row["ContractedCost"])
        assert min(Decimal(row["ListUnitPrice"]), Decimal(row["ContractedUnitPrice"]), quantity) >= 0
        assert row["BillingPeriodStart"] <= row["ChargePeriodStart"] < row["ChargePeriodEnd"] <= row["BillingPeriodEnd"]
    else:
        assert row["ListUnitPrice"] is row["ContractedUnitPrice"] is None
        assert row["ListCost"] == row["ContractedCost"] == row["EffectiveCost"] == row["BilledCost"]
    if not usage:
        assert row["ConsumedQuantity"] is None
    assert (row["PricingUnit"] is None) == (row["PricingQuantity"] is None)
    assert (row["ConsumedUnit"] is None) == (row["ConsumedQuantity"] is None)
    assert row["ChargeFrequency"] == ("Usage-Based" if usage else "One-Time")
    assert row["InvoiceId"] is None
    assert all(isinstance(value, str) for value in json.loads(row["Tags"]).values())
    assert all(name in MANDATORY or name.startswith("x_") or name[0].isupper() for name in row)


def export(engine, where=EVER, book=BOOK):
    with read_snapshot(engine) as connection:
        rows = list(focus_rows(all_entries(connection, where), book))
        spend = total(cost_rows(connection, where, [])).cost
    for row in rows:
        check_row(row)
    assert sum(Money.usd(row["BilledCost"]).nanos for row in rows) == spend.nanos
    return rows


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(traffic=TRAFFIC)
def test_every_row_meets_the_specification_and_they_add_up_to_the_ledger(empty_sqlite, traffic):
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(empty_sqlite, f"{folder}/ledger.db")
        clock = FakeClock("2026-10-30T12:00:00")
        engine = open_database(f"sqlite:///{folder}/ledger.db")
        make(Ledger(engine, BOOK, spool=Path(folder) / "spool", now=clock.now, elapsed=clock.elapsed, tick_s=3600), clock, traffic)
        export(engine)
        engine.dispose()


def test_free_units_and_tiers_are_published_prices_of_their_own(sqlite_url, clock, tmp_path):
    tiers = (Tier(0, Money(2_250_000)), Tier(10, Money(1_500_000)))
    book = {"google": PriceSheet("google", (Price("OBJECTS", tiers, "OBJECTS", free_units=3),), issuer="Google Cloud", service="Vision")}
    engine = open_database(sqlite_url)
    ledger = Ledger(engine, book, spool=tmp_path / "spool", now=clock.now, elapsed=clock.elapsed, tick_s=3600)
    for units in (2, 4, 8):  # two free; one free and three paid; four of each tier
        ledger.settle(ledger.reserve(hold("google", {"OBJECTS": units})).attempt_id)
    ledger.close()
    rows = {row["SkuPriceId"]: row for row in export(engine, book=book)}
    engine.dispose()
    assert {name: (row["PricingQuantity"], row["ListUnitPrice"], row["BilledCost"]) for name, row in rows.items()} == {
        "OBJECTS/free": ("3.0", "0.0", "0.0"),
        "OBJECTS/above-0": ("7.0", "0.00225", "0.01575"),
        "OBJECTS/above-10": ("4.0", "0.0015", "0.006"),
    }
    assert {row["ProviderName"] for row in rows.values()} == {row["ServiceProviderName"] for row in rows.values()} == {"Google Cloud"}
    assert sum(Decimal(row["x_FirstTierCost"]) for row in rows.values()) == 14 * Decimal("0.00225")


def test_a_correction_is_one_only_of_a_month_that_was_invoiced(sqlite_url, clock, tmp_path):
    engine = open_database(sqlite_url)
    ledger = Ledger(engine, BOOK, spool=tmp_path / "spool", now=clock.now, elapsed=clock.elapsed, tick_s=3600)
    attempt_id = ledger.reserve(hold()).attempt_id
    ledger.settle(attempt_id)
    words = {"provider": "flat", "sku": "SKU", "reason": "x", "units": -1}
    ledger.correct(Correction(day="2026-11-22", attempt_id=attempt_id, amount=Money(-5), **words))
    ledger.correct(Correction(day="2026-11-02", amount=Money(-6), **words))  # from an invoice
    clock.advance(days=20)
    ledger.correct(Correction(day="2026-11-22", attempt_id=attempt_id, amount=Money(-7), **words))
    ledger.close()
    found = {row["BilledCost"]: row for row in export(engine) if row["x_EntryId"]}
    engine.dispose()
    assert {cost: (row["ChargeClass"], row["ChargeCategory"], row["BillingPeriodStart"][:7]) for cost, row in found.items()} == {
        "-0.000000005": (None, "Adjustment", "2026-11"),
        "-0.000000006": ("Correction", "Usage", "2026-11"),
        "-0.000000007": ("Correction", "Usage", "2026-12"),
    }
    assert found["-0.000000007"]["ChargePeriodStart"] == "2026-11-22T00:00:00Z"


def test_a_provider_s_month_may_begin_at_another_hour_than_ours(sqlite_url, tmp_path):
    book = {"google": PriceSheet("google", (Price("SKU", (Tier(0, Money(5)),), "SKU"),), timezone="America/Los_Angeles")}
    clock, engine = FakeClock("2026-11-01T06:59:00"), open_database(sqlite_url)
    ledger = Ledger(engine, book, spool=tmp_path / "spool", now=clock.now, elapsed=clock.elapsed, tick_s=3600)
    for _ in range(2):
        ledger.settle(ledger.reserve(hold("google")).attempt_id)
        clock.advance(seconds=120)
    ledger.close()
    assert {(row["BillingPeriodStart"], row["BillingPeriodEnd"]) for row in export(engine, book=book)} == {
        ("2026-10-01T07:00:00Z", "2026-11-01T07:00:00Z"),
        ("2026-11-01T07:00:00Z", "2026-12-01T08:00:00Z"),
    }
    engine.dispose()


def test_parquet_says_the_same_as_the_rows():
    from pyarrow import parquet  # noqa: PLC0415 -- as the product does

    start = datetime(2026, 11, 1, tzinfo=UTC)
    empty = dict.fromkeys(COLUMNS) | {"Tags": '{"a": "=1"}'}
    times = [f"{start + timedelta(hours=n):%Y-%m-%dT%H:%M:%SZ}" for n in range(50)]
    rows = [empty | dict.fromkeys(AMOUNTS, f"{n - 5}.000000001") | {"ChargePeriodStart": time} for n, time in enumerate(times)]
    table = parquet.read_table(io.BytesIO(b"".join(parquet_pieces(iter(rows)))))
    assert table.column_names == list(COLUMNS)
    assert table["BilledCost"].to_pylist() == [Decimal(row["BilledCost"]) for row in rows]
    assert table["ChargePeriodStart"].to_pylist()[-1] == start + timedelta(hours=49)
    assert (table["Tags"].to_pylist()[0], table["ChargeClass"].to_pylist()[0]) == ('{"a": "=1"}', None)


@pytest.mark.parametrize(("name", "service"), [("rekognition", "Amazon Rekognition"), ("google_vision", "Cloud Vision API")])
def test_the_built_in_sheets_name_their_service(name, service):
    assert load_prices()[name].service == service
