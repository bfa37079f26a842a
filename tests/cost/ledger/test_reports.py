from datetime import date

import pytest

from cost.ledger import BadReport, Correction, UsageRow
from cost.ledger.reports import total
from cost.money import Money
from tests.cost.sheets import FLAT, hold

EVER = (date(2000, 1, 1), date(2100, 1, 1))


@pytest.fixture
def spent(ledger, clock):
    def call(provider="flat", end="settle", **more):
        attempt_id = ledger.reserve(hold(provider, **more)).attempt_id
        if end == "settle":
            ledger.settle(attempt_id)
        elif end:
            getattr(ledger, end)(attempt_id, outcome="x")
        return attempt_id

    call(tags={"team": "a", "campaign": "spring"})
    call(tags={"team": "a"}, client="web")
    call(tags={"team": "b"})
    call(end="unknown")
    call(end="release")
    call(end=None, timeout_s=1e6)
    call("two_skus", usage={"OBJECTS": 1, "LABELS": 2}, features=frozenset({"objects", "labels"}))
    clock.advance(days=1)
    call()
    ledger.correct(Correction(day="2026-11-22", provider="flat", sku="SKU", amount=Money(-5), units=0, reason="invoice"))
    ledger.record_usage(
        UsageRow(kind="in_house", request_id="r", client="shop", provider="local", features=frozenset(), sku="picture", imputed=Money(7))
    )
    ledger.close()
    return ledger


def by(rows, word):
    return {row.keys[word]: row for row in rows}


def test_money_is_grouped_by_provider_and_day(spent):
    rows = {(row.keys["provider"], row.keys["day"]): row for row in spent.costs(*EVER, ["provider", "day"])}
    assert sorted(rows) == [("flat", "2026-11-22"), ("flat", "2026-11-23"), ("local", "2026-11-23"), ("two_skus", "2026-11-22")]
    first = rows["flat", "2026-11-22"]
    assert (first.calls, first.billed_units) == (5, 3)
    assert (first.cost, first.reserved, first.unknown) == (Money(3 * FLAT - 5), Money(FLAT), Money(FLAT))
    assert rows["local", "2026-11-23"].imputed == Money(7)


def test_a_call_with_two_skus_is_one_call_and_shows_in_both_of_its_skus(spent):
    assert by(spent.costs(*EVER, ["provider"]), "provider")["two_skus"].calls == 1
    by_sku = by(spent.costs(*EVER, ["sku"]), "sku")
    assert [(by_sku[sku].calls, by_sku[sku].billed_units, by_sku[sku].cost.nanos) for sku in ("OBJECTS", "LABELS")] == [
        (1, 1, 2_250_000),
        (1, 2, 3_000_000),
    ]
    assert by(spent.costs(*EVER, ["feature"]), "feature")["labels,objects"].calls == 1


def test_a_tag_parts_the_money_and_leaves_a_row_for_what_has_none(spent):
    by_team = by(spent.costs(*EVER, ["tag:team"]), "tag:team")
    assert {team: row.calls for team, row in by_team.items()} == {"": 5, "a": 2, "b": 1}
    assert total(by_team.values()) == total(spent.costs(*EVER, ["provider"]))
    pairs = spent.costs(*EVER, ["tag:campaign", "client"])
    assert [tuple(row.keys.items()) for row in pairs if row.keys["tag:campaign"]] == [(("tag:campaign", "spring"), ("client", "shop"))]


def test_several_tags_part_the_money_together(spent):
    rows = spent.costs(*EVER, ["tag:campaign", "day", "tag:team"])
    assert [(*row.keys.values(), row.calls) for row in rows] == [
        ("", "2026-11-22", "", 3),
        ("", "2026-11-22", "a", 1),
        ("", "2026-11-22", "b", 1),
        ("", "2026-11-23", "", 2),
        ("spring", "2026-11-22", "a", 1),
    ]
    assert total(rows) == total(spent.costs(*EVER, []))


def test_what_was_avoided_is_told_by_who_avoided_it(ledger, clock):
    words = {"client": "shop", "provider": "flat", "features": frozenset(), "sku": "SKU"}
    for kind, nanos in [("hit", 5), ("joined", 7), ("in_house", 11), ("hit", 1)]:
        ledger.record_usage(UsageRow(kind=kind, request_id="r", avoided=Money(nanos), **words))
    ledger.close()
    (row,) = ledger.costs(*EVER, ["provider"])
    assert (row.avoided.nanos, row.avoided_cache.nanos, row.avoided_joined.nanos, row.avoided_in_house.nanos) == (24, 6, 7, 11)
    assert (row.calls, row.hits) == (1, 3)


def test_days_are_both_included_and_others_are_not(spent):
    only = spent.costs(date(2026, 11, 23), date(2026, 11, 23), ["provider"])
    assert by(only, "provider")["flat"].cost == Money(FLAT)
    assert spent.costs(date(2026, 11, 24), date(2026, 12, 31), ["provider"]) == []


def test_without_groups_there_is_one_row_and_it_is_the_total(spent):
    (row,) = spent.costs(*EVER, [])
    assert total([row]) == total(spent.costs(*EVER, ["client", "day"]))
    assert spent.costs(date(1999, 1, 1), date(1999, 1, 2), []) == []


@pytest.mark.parametrize("group_by", [["colour"], ["day", "day"], ["tag:a", "tag:a"], ["tag:"], ["provider; DROP TABLE attempts"]])
def test_a_group_that_is_none_is_refused(ledger, group_by):
    with pytest.raises(BadReport):
        ledger.costs(*EVER, group_by)
