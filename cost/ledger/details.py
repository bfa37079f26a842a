"""The rows behind a number: every paid call's lines, every correction, every answer that was not paid for, newest day first.

A page costs the same whatever the ledger's size: daily sums tell whose rows can meet the filter and on which days, an index finds
those, and the next page begins where the last one ended.
"""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, and_, func, literal, not_, or_, select, true, tuple_

from cost.ledger.cursors import DAY_US, Place, day_end_us, day_start_us
from cost.ledger.filters import CostFilter, condition
from cost.ledger.reports import CostSums
from cost.ledger.schema import IS_OPEN, attempt_lines, attempts, corrections, rollups, tag_rollups, unit_counters, usage_rows
from cost.ledger.terms import tags_of
from cost.ledger.times import day_of, from_us
from cost.money import FREE, Money

Kind = Literal["call", "correction", "in_house", "hit", "joined"]
Only = Literal["paid", "unpaid", "reserved", "unknown"]
"""Which of the rows: calls with their corrections; answers that nobody billed; calls that are open, in one of the two ways."""

PAGE_MAX = 1_000
_AT_A_TIME = 2_000
"""Rows that wait in memory."""
_DENSE = 50
"""Where one row in so many is asked for, a walk through all of them finds a page soon."""
_OWNERS_MAX = 40
"""Where fewer are, they are looked up owner by owner, up to so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostEntry(CostSums):
    """One row, with the sums it adds to any report.

    Attributes:
        kind: a paid call's line; a correction; the in-house model answered; the cache did; an identical request in flight did.
        id: the attempt's, the correction's or the usage row's; `line` counts the SKUs of a call.
        day: the UTC day it belongs to; a correction's may be long before `at`, when it was booked.
        state: of a call: reserved, settled or unknown. A released one cost nothing and is behind no number.
        reason: of a correction, or how a call ended.
        units, price, list_price: of a call's line, billed or not; the price is what was held, the list price without tiers and free units.
    """

    kind: Kind
    id: str
    line: int
    at: datetime
    day: str
    provider: str
    sku: str
    region: str
    feature: str
    client: str
    tags: dict[str, str]
    state: str
    reason: str
    request_id: str
    provider_request_id: str
    units: int
    price: Money
    list_price: Money
    price_version: str


@dataclass(frozen=True, slots=True)
class EntriesPage:
    """Rows in order; `next` is where the following page begins, or None after the last."""

    entries: list[CostEntry]
    next: str | None


_Behind = Callable[[Place | None], ColumnElement[bool]]


@dataclass(frozen=True, slots=True)
class _Owner:
    """Keys whose rows may meet a filter, and between which days (as texts, both included)."""

    keys: dict[str, str]
    first: str
    last: str


def entries_page(
    connection: Connection, where: CostFilter, *, after: str | None = None, limit: int = 100, only: Only | None = None
) -> EntriesPage:
    """A page of at most `limit` rows; `after` is the `next` of the page before.

    Raises:
        BadCursor: `after` is none of ours.
    """
    rows = list(islice(_rows(connection, where, None if after is None else Place.of(after), limit + 1, only), limit + 1))
    entries = [_entry(row, by_lines=where.sku is not None) for row in rows[:limit]]
    return EntriesPage(entries, str(_place(rows[limit - 1])) if len(rows) > limit else None)


def all_entries(connection: Connection, where: CostFilter) -> Iterator[CostEntry]:
    """Every row; few at a time are in memory. `connection` is a `read_snapshot`."""
    return (_entry(row, by_lines=where.sku is not None) for row in _rows(connection, where, None, _AT_A_TIME))


def _rows(connection: Connection, where: CostFilter, after: Place | None, at_a_time: int, only: Only | None = None) -> Iterator[Row[Any]]:
    """Rows in order, from one index range an owner and table, merged."""
    asked = {
        table.name: condition(replace(where, sku=None) if table is attempts else where, table, connection.dialect, indexed=False)
        for table in (attempts, corrections, usage_rows)
    }
    is_open = only in ("reserved", "unknown")
    owners = [_Owner({}, where.first.isoformat(), where.last.isoformat())] if is_open else _owners(connection, where)
    at_a_time = max(1, min(at_a_time, _AT_A_TIME // max(1, len(owners))))
    calls = _CALLS if where.sku is None else _CALLS.where(attempt_lines.c.sku == where.sku)
    if is_open:  # few, and found by the index of those that are open
        calls = calls.where(IS_OPEN, attempts.c.state == only)
    streams = []
    if only in (None, "paid"):
        days = corrections.c.day.between(where.first.isoformat(), where.last.isoformat())
        query = _CORRECTIONS.where(days, asked["corrections"])
        streams.append(_stream(connection, query, _CORRECTION_ORDER, _corrections_behind, after, at_a_time))
    sources: list[tuple[Select[Any], Table, ColumnElement[int], ColumnElement[int]]] = (
        [(calls, attempts, _CALL_AT, _LINE)] if only != "unpaid" else []
    )
    sources += [(_USAGE, usage_rows, _USAGE_AT, literal(0))] if only in (None, "unpaid") else []
    for owner in owners:
        for query, table, at, line in sources:
            theirs = [table.c[name] == value for name, value in owner.keys.items()]
            theirs += [at >= day_start_us(owner.first), asked[table.name]]
            order = (at.desc(), table.c.id.desc(), *(() if table is usage_rows else (line,)))
            source = 0 if table is attempts else 2
            behind = partial(_behind, end_us=day_end_us(owner.last), source=source, at=at, id_=table.c.id, line=line)
            streams.append(_stream(connection, query.where(*theirs), order, behind, after, at_a_time))
    return heapq.merge(*streams, key=lambda row: _place(row).order, reverse=True)


def _owners(connection: Connection, where: CostFilter) -> list[_Owner]:
    """From the daily sums. One without keys stands for everybody: where many of all rows are asked for, a walk through time finds them."""
    table = tag_rollups if where.tags else rollups
    days = table.c.day.between(where.first.isoformat(), where.last.isoformat())
    met = (days, condition(where, table, connection.dialect))
    span = select(func.min(table.c.day), func.max(table.c.day), func.sum(table.c.line_calls + table.c.hits)).where(*met)
    first, last, asked = connection.execute(span).one()
    if first is None:
        return []
    of_all = select(func.sum(rollups.c.line_calls + rollups.c.hits)).where(rollups.c.day.between(first, last))
    if int(asked) * _DENSE >= int(connection.execute(of_all).scalar() or 0):
        return [_Owner({}, first, last)]
    ways = [_by(connection, table, ("provider", "client", "features"), met)]
    if where.tags:
        ways.append(_by(connection, table, ("tags",), met))
    owners, _ = min((way for way in ways if way is not None), key=lambda way: way[1], default=([_Owner({}, first, last)], 0))
    return owners


def _by(connection: Connection, table: Table, names: tuple[str, ...], met: tuple[Any, ...]) -> tuple[list[_Owner], int] | None:
    """The owners by these keys, and how many rows they have in all; None where they are too many."""
    columns = [table.c[name] for name in names]
    query = select(*columns, func.min(table.c.day), func.max(table.c.day)).where(*met).group_by(*columns).limit(_OWNERS_MAX + 1)
    found = connection.execute(query).all()
    if len(found) > _OWNERS_MAX:
        return None
    owners = [_Owner(dict(zip(names, row, strict=False)), row[-2], row[-1]) for row in found]
    theirs = tuple_(*columns).in_([tuple(owner.keys.values()) for owner in owners])
    rows = connection.execute(select(func.sum(table.c.line_calls + table.c.hits)).where(met[0], theirs)).scalar()
    return owners, int(rows or 0)


def _stream(
    connection: Connection, query: Select[Any], order: tuple[Any, ...], behind: _Behind, after: Place | None, at_a_time: int
) -> Iterator[Row[Any]]:
    """A query's rows, so many at a time, each time from behind the last."""
    query = query.order_by(*order).limit(at_a_time)
    while True:
        rows = connection.execute(query.where(behind(after))).all()
        yield from rows
        if len(rows) < at_a_time:
            return
        after = _place(rows[-1])


def _behind(
    after: Place | None, *, end_us: int, source: int, at: ColumnElement[int], id_: ColumnElement[Any], line: ColumnElement[int]
) -> ColumnElement[bool]:
    """Rows of a table that come after a place, and before an instant. As one upper bound: with two of them SQLite begins at either."""
    if after is None or after.sort_us >= end_us:
        return at < end_us
    if source < after.source:
        return at < after.sort_us
    if source > after.source:
        return at <= after.sort_us
    # The first is said by the second, and tells SQLite where to begin in its index.
    return and_(
        at <= after.sort_us,
        tuple_(at, id_) <= tuple_(literal(after.sort_us), literal(after.id)),
        not_(and_(id_ == after.id, line <= after.line)),
    )


def _corrections_behind(after: Place | None) -> ColumnElement[bool]:
    """They stand at the end of their day."""
    if after is None:
        return true()
    if after.source < 1:
        return corrections.c.day <= day_of(after.sort_us - DAY_US)
    if after.source > 1:
        return corrections.c.day <= day_of(after.sort_us - DAY_US - 1)
    day = day_of(after.sort_us - DAY_US)
    return or_(corrections.c.day < day, and_(corrections.c.day == day, corrections.c.id < after.id))


def _place(row: Row[Any]) -> Place:
    return Place(row.at_us if row.source != 1 else day_end_us(row.day), row.source, row.id, row.line)


def _entry(row: Any, *, by_lines: bool) -> CostEntry:
    counts = 1 if by_lines or row.line == 0 else 0
    sums: dict[str, Any] = {}
    if row.kind == "call":
        sums = {"calls": counts}
        if row.state == "settled":
            # A bill that differs from the price does so for the call; its first line carries the difference.
            cost = row.price_nanos + (row.total_cost_nanos - row.total_price_nanos if row.line == 0 else 0)
            sums |= {"cost": Money(cost), "billed_units": row.units}
        else:
            sums[row.state] = Money(row.price_nanos)
    elif row.kind == "correction":
        sums = {"cost": Money(row.price_nanos), "billed_units": row.units}
    else:
        avoided = Money(row.avoided_nanos)
        sums = {"imputed": Money(row.imputed_nanos), "avoided": avoided}
        if row.kind == "in_house":
            sums["calls"] = 1
        else:
            sums["hits"] = 1
            sums["avoided_cache" if row.kind == "hit" else "avoided_joined"] = avoided
    return CostEntry(
        **sums,
        kind=row.kind,
        id=str(row.id),
        line=row.line,
        at=from_us(row.at_us),
        day=day_of(row.at_us) if row.day is None else row.day,
        provider=row.provider,
        sku=row.sku,
        region=row.region or "",
        feature=row.features,
        client=row.client,
        tags=tags_of(row.tags),
        state=row.state or "",
        reason=row.reason or "",
        request_id=row.request_id or "",
        provider_request_id=row.provider_request_id or "",
        units=row.units,
        price=Money(row.price_nanos) if row.kind == "call" else FREE,
        list_price=FREE if row.list_price_nanos is None else Money(row.list_price_nanos),
        price_version=row.price_version or "",
    )


def _select(**columns: Any) -> Select[Any]:
    names = (
        "source", "kind", "at_us", "day", "id", "line", "provider", "sku", "region", "features", "client", "tags", "state", "reason",
        "request_id", "provider_request_id", "units", "price_nanos", "total_price_nanos", "total_cost_nanos", "list_price_nanos",
        "price_version", "imputed_nanos", "avoided_nanos",
    )  # fmt: skip
    return select(*(literal(None).label(name) if columns.get(name) is None else columns[name].label(name) for name in names))


def _own(table: Any, *names: str) -> dict[str, Any]:
    return {name: table.c[name] for name in names}


_OWN = ("provider", "features", "client", "tags")
_CALL_AT, _USAGE_AT, _LINE = attempts.c.reserved_at_us, usage_rows.c.at_us, attempt_lines.c.line
_CORRECTION_ORDER = (corrections.c.day.desc(), corrections.c.id.desc())
_CALLS = (
    _select(
        source=literal(0),
        kind=literal("call"),
        at_us=attempts.c.reserved_at_us,
        **_own(attempts, "id", *_OWN, "state", "request_id", "provider_request_id"),
        reason=attempts.c.outcome,
        total_price_nanos=attempts.c.price_nanos,
        total_cost_nanos=attempts.c.cost_nanos,
        **_own(attempt_lines, "line", "sku", "units", "price_nanos", "list_price_nanos", "price_version"),
        region=unit_counters.c.region,
    )
    .select_from(attempts)
    .join(attempt_lines, attempt_lines.c.attempt_id == attempts.c.id)
    .join(unit_counters, unit_counters.c.id == attempt_lines.c.counter_id)
    .where(attempts.c.state != "released")
)
_CORRECTIONS = _select(
    source=literal(1),
    kind=literal("correction"),
    at_us=corrections.c.at_us,
    line=literal(0),
    price_nanos=corrections.c.amount_nanos,
    request_id=corrections.c.attempt_id,
    **_own(corrections, "id", "day", *_OWN, "sku", "reason", "units"),
)
_USAGE = _select(
    source=literal(2),
    at_us=usage_rows.c.at_us,
    line=literal(0),
    **_own(usage_rows, "id", "kind", *_OWN, "sku", "request_id", "units", "imputed_nanos", "avoided_nanos"),
)
