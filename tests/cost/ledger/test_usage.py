import time
from datetime import date

import pytest
from sqlalchemy import text

from cost.ledger import Budget, Ledger, UsageRow
from cost.ledger import usage as usage_room
from cost.money import FREE, Money
from tests.cost.sheets import BOOK

EVER = (date(2000, 1, 1), date(2100, 1, 1))


def used(kind="in_house", **more):
    defaults = {"request_id": "r", "client": "shop", "provider": "local", "features": frozenset({"objects"}), "sku": "picture"}
    return UsageRow(kind=kind, **(defaults | more))


def count(engine):
    with engine.connect() as connection:
        return connection.execute(text("SELECT count(*) FROM usage_rows")).scalar_one()


def test_usage_is_written_by_a_normal_stop_and_is_no_money(ledger, engine):
    ledger.put_budget(Budget("none", "global", "", "day", "UTC", FREE))
    for _ in range(2_500):
        ledger.record_usage(used(imputed=Money(731), avoided=Money(1_000_000)))
    ledger.record_usage(used("hit", provider="rekognition", sku="DetectLabels", avoided=Money(1_000_000)))
    ledger.record_usage(used("joined", provider="rekognition", sku="DetectLabels", avoided=Money(1_000_000)))
    ledger.close()
    assert count(engine) == 2_502
    in_house, cached = ledger.costs(*EVER, ["provider"])
    assert (in_house.calls, in_house.imputed, in_house.avoided, in_house.cost) == (2_500, Money(731) * 2_500, Money(10**6) * 2_500, FREE)
    assert (cached.calls, cached.hits, cached.avoided, cached.cost) == (0, 2, Money(2 * 10**6), FREE)


def test_usage_is_written_off_the_request_path_within_a_tick(engine, tmp_path):
    ledger = Ledger(engine, BOOK, spool=tmp_path / "spool", tick_s=0.05)
    ledger.record_usage(used())
    deadline = time.monotonic() + 20
    while not count(engine):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    ledger.close()
    assert count(engine) == 1


def test_what_too_many_waiting_rows_lose_is_counted(ledger, engine, monkeypatch):
    monkeypatch.setattr(usage_room, "WAITING_MAX", 10)
    for _ in range(15):
        ledger.record_usage(used())
    assert ledger.usage_lost == 5
    ledger.close()
    assert count(engine) == 10


def test_usage_that_can_not_be_a_row_is_refused_at_once(ledger, engine):
    with pytest.raises(ValueError, match="tag"):
        ledger.record_usage(used(tags={"a": "b,c"}))
    with pytest.raises(ValueError, match="longer than"):
        ledger.record_usage(used(sku="x" * 129))
    ledger.close()
    assert count(engine) == 0
