import shutil
import tempfile
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cost.database import open_database, read_snapshot
from cost.ledger import (
    BadCursor,
    Correction,
    CostFilter,
    CostSums,
    Ledger,
    UsageRow,
    all_entries,
    cost_rows,
    entries_page,
)
from cost.ledger.reports import AMOUNTS, total
from cost.ledger.verify import verify
from cost.money import Money
from tests.cost.clocks import FakeClock
from tests.cost.plans import steps_of
from tests.cost.sheets import BOOK, hold

EVER = {"first": date(2000, 1, 1), "last": date(2100, 1, 1)}
WORDS = ("provider", "day", "sku", "feature", "client", "tag:team", "tag:run")
TAGS = st.dictionaries(st.sampled_from(["team", "run", "steam"]), st.sampled_from(["a", "A", "b%", "x:y", "=1+1"]), max_size=2)
CLIENTS = st.sampled_from(["shop", "web", "SHOP", ""])
FEATURES = st.sets(st.sampled_from(["objects", "labels"]), max_size=2).map(frozenset)
CALL = st.fixed_dictionaries(
    {
        "provider": st.sampled_from(["flat", "falling", "free_first", "two_skus"]),
        "units": st.integers(1, 6),
        "client": CLIENTS,
        "features": FEATURES,
        "tags": TAGS,
        "end": st.sampled_from(["settle", "settle", "dearer", "unknown", "release", "open"]),
        "later_s": st.sampled_from([0, 0, 1, 40_000, 86_400]),
    }
)
USAGE = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["in_house", "hit", "joined"]),
        "client": CLIENTS,
        "features": FEATURES,
        "tags": TAGS,
        "imputed": st.integers(0, 900),
        "avoided": st.integers(0, 2_250_000),
    }
)
CORRECTION = st.fixed_dictionaries(
    {"days_ago": st.integers(0, 3), "amount": st.integers(-(10**9), 10**9), "units": st.integers(-3, 3), "tags": st.just(",team:a,")}
)
TRAFFIC = st.lists(st.one_of(CALL, CALL, USAGE, CORRECTION), min_size=1, max_size=25)


def make(ledger, clock, traffic):
    """The traffic in a ledger."""
    for event in traffic:
        if "amount" in event:
            day = (clock.now().date() - timedelta(days=event["days_ago"])).isoformat()
            ledger.correct(
                Correction(
                    day=day, provider="flat", sku="SKU", amount=Money(event["amount"]), units=event["units"], reason="r", tags=event["tags"]
                )
            )
        elif "kind" in event:
            amounts = {name: Money(event[name]) for name in ("imputed", "avoided")}
            rest = {name: event[name] for name in ("kind", "client", "features", "tags")}
            ledger.record_usage(UsageRow(request_id="r", provider="flat", sku="SKU", **amounts, **rest))
        else:
            usage = {"OBJECTS": event["units"], "LABELS": 1} if event["provider"] == "two_skus" else {"SKU": event["units"]}
            rest = {name: event[name] for name in ("client", "features", "tags")}
            held = ledger.reserve(hold(event["provider"], usage, timeout_s=1e7, **rest))
            if event["end"] in ("settle", "dearer"):
                ledger.settle(held.attempt_id, cost=Money(held.price.nanos + 3) if event["end"] == "dearer" else None)
            elif event["end"] != "open":
                getattr(ledger, event["end"])(held.attempt_id, outcome="x")
            clock.advance(seconds=event["later_s"])
    ledger.close()


def nanos(sums):
    return {name: getattr(sums, name).nanos for name in AMOUNTS}


def filter_of(keys):
    """The filter that opens a report's row down to its rows."""
    named = {
        "feature" if word == "feature" else word: value for word, value in keys.items() if word in ("provider", "sku", "feature", "client")
    }
    tags = {word.removeprefix("tag:"): value for word, value in keys.items() if word.startswith("tag:")}
    days = {"first": date.fromisoformat(keys["day"]), "last": date.fromisoformat(keys["day"])} if "day" in keys else EVER
    return CostFilter(**days, **named, tags=tags)


def check(engine, group_by, at_a_time):
    """Every number of a report is the sum of its rows, and they are all the ledger's."""
    with read_snapshot(engine) as connection:
        rows = list(cost_rows(connection, CostFilter(**EVER), group_by))
        everything = list(all_entries(connection, CostFilter(**EVER)))
        assert nanos(total(rows)) == nanos(total(everything))
        for row in rows:
            behind = list(all_entries(connection, filter_of(row.keys)))
            by_lines = "sku" in group_by
            assert total(behind) == CostSums(**{name: getattr(row, name) for name in ("calls", "billed_units", "hits", *AMOUNTS)}), (
                row,
                by_lines,
            )
        paged, after = [], None
        while True:
            page = entries_page(connection, CostFilter(**EVER), after=after, limit=at_a_time)
            paged += page.entries
            if page.next is None:
                break
            after = page.next
        assert paged == everything
        assert [entry.day for entry in everything] == sorted((entry.day for entry in everything), reverse=True)
    assert list(verify(engine)) == []


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    traffic=TRAFFIC,
    group_by=st.permutations(WORDS).flatmap(lambda words: st.integers(0, 4).map(lambda n: words[:n])),
    limit=st.integers(1, 5),
)
def test_the_sum_of_any_report_is_the_sum_of_its_rows_and_of_the_ledger(empty_sqlite, traffic, group_by, limit):
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(empty_sqlite, f"{folder}/ledger.db")
        clock = FakeClock("2026-11-22T12:00:00")
        engine = open_database(f"sqlite:///{folder}/ledger.db")
        make(Ledger(engine, BOOK, spool=Path(folder) / "spool", now=clock.now, elapsed=clock.elapsed, tick_s=3600), clock, traffic)
        check(engine, group_by, limit)
        engine.dispose()


SOME = [
    {
        "provider": "two_skus",
        "units": 2,
        "client": "shop",
        "features": frozenset({"objects", "labels"}),
        "tags": {"team": "a"},
        "end": end,
        "later_s": 50_000,
    }
    for end in ("settle", "dearer", "unknown", "release", "open")
]
SOME += [
    {"kind": kind, "client": "web", "features": frozenset(), "tags": {}, "imputed": 3, "avoided": 5}
    for kind in ("in_house", "hit", "joined")
]
SOME += [{"days_ago": days, "amount": -7, "units": 0, "tags": ","} for days in (0, 1, 1, 3)]


@pytest.mark.parametrize("group_by", [[], ["day", "tag:team"], ["sku", "client"], ["feature", "provider", "tag:run", "tag:team"]])
def test_both_databases_add_up_alike(ledger, engine, clock, group_by):
    make(ledger, clock, SOME)
    check(engine, group_by, 2)


def test_more_owners_than_are_looked_up_one_by_one_are_found_as_well(ledger, engine, clock):
    for number in range(45):
        ledger.settle(ledger.reserve(hold(client=f"client-{number}")).attempt_id)
        clock.advance(seconds=7_200)
    ledger.close()
    check(engine, ["client"], 11)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("state", ["reserved", "unknown"])
def test_what_is_open_is_found_by_its_index_however_many_attempts_there_are(ledger, engine, clock, state):
    make(ledger, clock, SOME)
    with read_snapshot(engine) as connection, steps_of(engine) as steps:
        assert entries_page(connection, CostFilter(**EVER), limit=10, only=state).entries
    assert {step for step in steps if "attempts" in step} == {"SEARCH attempts USING INDEX attempts_open (state=?)"}


def test_only_the_rows_that_were_asked_for_are_found_and_together_they_are_all(ledger, engine, clock):
    make(ledger, clock, SOME)
    with read_snapshot(engine) as connection:
        found = {
            only: entries_page(connection, CostFilter(**EVER), limit=1_000, only=only).entries
            for only in ("paid", "unpaid", "reserved", "unknown", None)
        }
    assert found["paid"]
    assert found["unpaid"]
    assert all(entry.state == "reserved" for entry in found["reserved"])
    assert all(entry.state == "unknown" for entry in found["unknown"])
    for name in ("reserved", "unknown"):
        assert getattr(total(found[name]), name) == getattr(total(found[None]), name) != Money(0)
    both = {(entry.kind, entry.id, entry.line) for entry in found["paid"] + found["unpaid"]}
    assert both == {(entry.kind, entry.id, entry.line) for entry in found[None]}


def test_rare_rows_are_found_owner_by_owner_and_in_order(ledger, engine, clock):
    for number in range(160):
        tags = {"team": "rare"} if number in (3, 90, 150) else {}
        words = {"client": f"client-{number % 3}" if tags else "usual", "tags": tags}
        ledger.settle(ledger.reserve(hold(**words)).attempt_id)
        clock.advance(seconds=3_600)
    ledger.close()
    check(engine, ["tag:team", "client"], 2)


def test_a_row_says_where_it_comes_from(ledger, engine):
    attempt_id = ledger.reserve(hold(request_id="request-7", tags={"team": "a"})).attempt_id
    ledger.settle(attempt_id, provider_request_id="aws-1")
    with read_snapshot(engine) as connection:
        (entry,) = entries_page(connection, CostFilter(**EVER, tags={"team": "a"})).entries
    assert (entry.kind, entry.id, entry.request_id, entry.provider_request_id) == ("call", attempt_id, "request-7", "aws-1")
    assert (entry.day, entry.state, entry.region, entry.units, entry.tags) == ("2026-11-22", "settled", "*", 1, {"team": "a"})


def test_a_stream_does_not_see_what_is_written_while_it_runs(ledger, engine):
    for _ in range(5):
        ledger.settle(ledger.reserve(hold()).attempt_id)
    with read_snapshot(engine) as connection:
        entries = all_entries(connection, CostFilter(**EVER))
        first = next(entries)
        for _ in range(5):
            ledger.settle(ledger.reserve(hold()).attempt_id)
        assert total([first, *entries]).calls == total(cost_rows(connection, CostFilter(**EVER), [])).calls == 5


@pytest.mark.parametrize(
    "cursor", ["", "x", "!!!", "MXwxfDB8", "LTF8MHwwfGE", "OTk5OTk5OTk5OTk5OTk5OTk5OTl8MHwwfGE", "MXwyfDB8YQ", "MXw5fDB8YQ", "0" * 400]
)
def test_a_cursor_that_no_page_gave_is_refused(engine, cursor):
    with read_snapshot(engine) as connection, pytest.raises(BadCursor):
        entries_page(connection, CostFilter(**EVER), after=cursor)
