import io
import random
from datetime import date

import pytest

from cost.database import read_snapshot
from cost.focus import COLUMNS, focus_rows
from cost.invoices import read_invoice
from cost.ledger import CostFilter, Ledger, LedgerUnavailable, all_entries, cost_rows, reconciliations
from cost.ledger.reconciliations import Source, UnknownReconciliation
from cost.ledger.reports import total
from cost.ledger.verify import verify
from cost.money import Money
from cost.price_sheets import Price, PriceSheet, Tier
from tests.cost.plans import steps_of
from tests.cost.sheets import hold

EVER = CostFilter(first=date(2000, 1, 1), last=date(2100, 1, 1))
HEADER = "BilledCost,BillingCurrency,ChargeCategory,ChargePeriodStart,PricingQuantity,RegionId,ServiceName,SkuId"
UNIT = Money.usd("0.001")


def sheet(region="east"):
    tiers = (Tier(0, UNIT), Tier(100, Money.usd("0.0008")))
    prices = tuple(Price(sku, tiers, sku, region="*") for sku in ("LOOK", "READ"))
    return {"acme": PriceSheet("acme", prices, region=region, service="Acme Vision")}


@pytest.fixture
def acme(engine, clock, tmp_path):
    """A ledger with a provider that has regions."""
    ledger = Ledger(engine, sheet(), spool=tmp_path / "acme", now=clock.now, elapsed=clock.elapsed, tick_s=3600)
    yield ledger
    ledger.close()


def call(ledger, end="settle", sku="LOOK", units=1):
    attempt_id = ledger.reserve(hold("acme", {sku: units})).attempt_id
    getattr(ledger, end)(attempt_id, **({} if end == "settle" else {"outcome": "x"}))
    return attempt_id


def row(units, usd, day="2026-11-22", sku="LOOK", region="east"):
    return f"{usd},USD,Usage,{day}T00:00:00Z,{units},{region},Acme Vision,{sku}"


def send(ledger, *rows, prices=None):
    data = "\n".join([HEADER, *rows]).encode()
    return ledger.reconciliations.add(
        read_invoice(io.BytesIO(data), prices or sheet()), Source("ann", "nov.csv", f"{hash(data):064x}"[-64:])
    )


def causes(reconciliation):
    return {
        finding.key.sku + finding.key.day[-2:]: [(part.cause, part.units, str(part.amount)) for part in finding.parts]
        for finding in reconciliation.comparison.findings
    }


def state_of(engine, attempt_id):
    with read_snapshot(engine) as connection:
        return {entry.id: entry.state for entry in all_entries(connection, EVER)}.get(attempt_id, "released")


def spend(engine):
    with read_snapshot(engine) as connection:
        return total(cost_rows(connection, EVER, []))


def test_to_accept_settles_what_the_invoice_counts_releases_the_rest_and_books_what_is_left(acme, engine):
    for _ in range(3):
        call(acme)
    billed = [call(acme, "unknown"), call(acme, "unknown")]
    call(acme, sku="READ")
    found = send(acme, row(6, "0.006"), row(1, "0.0012", sku="READ"))
    assert causes(found) == {
        "LOOK22": [("unknown_attempts", 2, "0.002"), ("other_user", 1, "0.001")],
        "READ22": [("price_changed", 0, "0.0002")],
    }
    accepted = acme.reconciliations.accept(found.id, by="bob")
    assert (accepted.record["accepted_by"], accepted.record["created_by"], accepted.is_accepted) == ("bob", "ann", True)
    assert {state_of(engine, attempt_id) for attempt_id in billed} == {"settled"}
    assert all(finding.units == 0 and not finding.amount for finding in accepted.comparison.findings)
    sums = spend(engine)
    assert (sums.cost, sums.billed_units, sums.unknown) == (Money.usd("0.0072"), 7, Money(0))
    assert list(verify(engine)) == []


def test_unknown_calls_that_the_invoice_does_not_count_are_released(acme, engine):
    call(acme)
    first, second = call(acme, "unknown"), call(acme, "unknown")
    found = send(acme, row(2, "0.002"))
    assert causes(found) == {"LOOK22": [("unknown_attempts", 1, "0.001")]}
    acme.reconciliations.accept(found.id, by="bob")
    assert (state_of(engine, first), state_of(engine, second)) == ("settled", "released")
    assert spend(engine).cost == Money.usd("0.002")


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_an_invoice_finds_unknown_calls_by_an_index_however_many_attempts_there_are(acme, engine):
    call(acme, "unknown")
    found = send(acme, row(2, "0.002"))
    with steps_of(engine) as steps:
        assert causes(acme.reconciliations.get(found.id)) == {"LOOK22": [("unknown_attempts", 1, "0.001"), ("other_user", 1, "0.001")]}
    assert {step for step in steps if "attempts" in step} == {"SEARCH attempts USING INDEX attempts_open (state=?)"}


def test_to_accept_twice_and_to_send_the_same_file_again_does_nothing(acme, engine):
    call(acme)
    found = send(acme, row(3, "0.003"))
    for _ in range(2):
        accepted = acme.reconciliations.accept(found.id, by="bob")
    assert send(acme, row(3, "0.003")).id == found.id
    assert acme.reconciliations.accept(found.id, by="eve").record["accepted_by"] == "bob"
    assert (spend(engine).cost, spend(engine).billed_units) == (Money.usd("0.003"), 3)
    assert accepted.accepted[0]["causes"][0]["cause"] == "other_user"
    assert len(accepted.booked) == 1
    assert [record["id"] for record in acme.reconciliations.records()] == [found.id]


def test_a_second_invoice_of_the_same_days_finds_nothing_more(acme, engine):
    call(acme)
    acme.reconciliations.accept(send(acme, row(3, "0.0033")).id, by="bob")
    again = send(acme, row(2, "0.0022"), row(1, "0.0011"))
    assert causes(again) == {"LOOK22": []}
    acme.reconciliations.accept(again.id, by="bob")
    assert spend(engine).cost == Money.usd("0.0033")


def test_an_acceptance_that_died_in_the_middle_is_finished_by_the_next(acme, engine, monkeypatch):
    for _ in range(3):
        call(acme, "unknown")
    found = send(acme, row(4, "0.004"))
    monkeypatch.setattr(reconciliations, "_AT_A_TIME", 1)
    with monkeypatch.context() as dies:
        dies.setattr(reconciliations.ReconciliationDesk, "_book", lambda *_: 1 // 0)
        with pytest.raises(LedgerUnavailable):
            acme.reconciliations.accept(found.id, by="bob")
    assert not acme.reconciliations.get(found.id).is_accepted
    accepted = acme.reconciliations.accept(found.id, by="eve")
    assert (accepted.record["accepted_by"], spend(engine).cost, spend(engine).unknown) == ("eve", Money.usd("0.004"), Money(0))
    assert [cause["units"] for cause in accepted.accepted[0]["causes"]] == [3, 1]


def test_missing_rows_stay_until_somebody_says_that_they_are_not_late(acme, engine):
    for _ in range(4):
        call(acme)
    call(acme, sku="READ")
    found = send(acme, row(3, "0.003"))
    assert causes(found) == {"LOOK22": [("missing_rows", -1, "-0.001")], "READ22": [("missing_rows", -1, "-0.001")]}
    acme.reconciliations.accept(found.id, by="bob")
    assert spend(engine).cost == Money.usd("0.005")
    other = send(acme, row(3, "0.0030"))
    acme.reconciliations.accept(other.id, by="bob", include_missing=True)
    assert (spend(engine).cost, spend(engine).billed_units) == (Money.usd("0.003"), 3)
    assert causes(acme.reconciliations.get(other.id)) == {"LOOK22": []}


def test_regions_are_compared_apart(acme, engine, clock, tmp_path):
    west = Ledger(engine, sheet("west"), spool=tmp_path / "west", now=clock.now, elapsed=clock.elapsed, tick_s=3600)
    for _ in range(3):
        call(acme)
    call(west)
    west.close()
    found = send(acme, row(3, "0.003"), row(2, "0.002", region="west"))
    by_region = {finding.key.region: [part.cause for part in finding.parts] for finding in found.comparison.findings}
    assert by_region == {"east": [], "west": ["other_user"]}
    accepted = acme.reconciliations.accept(found.id, by="bob")
    assert all(not finding.amount and not finding.units for finding in accepted.comparison.findings)


def test_released_units_that_move_others_over_a_tier_s_edge_end_at_the_invoice_as_well(acme, engine):
    call(acme, units=99)
    doubtful = call(acme, "unknown", units=3)  # one unit of the dear tier, two of the cheap one
    call(acme, units=5)
    found = send(acme, row(104, "0.1032"))
    acme.reconciliations.accept(found.id, by="bob")
    assert state_of(engine, doubtful) == "released"
    assert (spend(engine).cost, spend(engine).unknown) == (Money.usd("0.1032"), Money(0))
    assert list(verify(engine)) == []


def test_our_own_focus_export_differs_from_the_ledger_by_nothing(acme, engine):
    chance = random.Random(7)
    for _ in range(40):
        call(acme, chance.choice(["settle", "settle", "release"]), chance.choice(["LOOK", "READ"]), chance.randint(1, 9))
    with read_snapshot(engine) as connection:
        rows = list(focus_rows(all_entries(connection, EVER), sheet()))
    file = "\n".join(
        [",".join(COLUMNS), *(",".join(f'"{(value or "").replace(chr(34), chr(34) * 2)}"' for value in row.values()) for row in rows)]
    )
    found = acme.reconciliations.add(read_invoice(io.BytesIO(file.encode()), sheet()), Source("ann", "own.csv", "0" * 64))
    assert found.comparison.findings
    assert all(not finding.parts for finding in found.comparison.findings)


def test_there_is_no_reconciliation_of_another_id(acme):
    with pytest.raises(UnknownReconciliation):
        acme.reconciliations.get("x")
    with pytest.raises(UnknownReconciliation):
        acme.reconciliations.accept("x", by="bob")
