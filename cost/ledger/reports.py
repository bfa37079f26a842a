"""What was spent, from the daily sums: `GET /v1/costs`. Streamed in order of the groups, whatever their number."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Connection, func, select

from cost.ledger.filters import GROUPS, TAG, CostFilter, check_groups, condition, tag_value
from cost.ledger.schema import MEASURES, rollups, tag_rollups
from cost.ledger.terms import tags_of
from cost.money import FREE, Money

_AT_A_TIME = 1_000
"""Rows that wait in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostSums:
    """Sums over rows of the ledger.

    Attributes:
        calls: attempts that were, or may have been, billed, and in-house answers. By SKU, a call with two SKUs counts for both.
        cost: settled, with corrections: the spend. `reserved` and `unknown` stand beside it.
        imputed: what in-house answers cost; nobody bills it.
        avoided: what answers that were not paid for would have cost. Of it `avoided_cache` and `avoided_joined` (a request waited for an
            identical one); the rest is the in-house model's.
        hits: answers that called nobody.
    """

    calls: int = 0
    billed_units: int = 0
    cost: Money = FREE
    reserved: Money = FREE
    unknown: Money = FREE
    imputed: Money = FREE
    avoided: Money = FREE
    avoided_cache: Money = FREE
    avoided_joined: Money = FREE
    hits: int = 0

    def plus(self, other: "CostSums") -> "CostSums":
        """Both together."""
        return CostSums(**{name: getattr(self, name) + getattr(other, name) for name in _NAMES})

    @property
    def avoided_in_house(self) -> Money:
        """What in-house answers would have cost elsewhere."""
        return self.avoided - self.avoided_cache - self.avoided_joined


_NAMES = tuple(field.name for field in fields(CostSums))


@dataclass(frozen=True, slots=True, kw_only=True)
class CostRow(CostSums):
    """One group's sums.

    Attributes:
        keys: by the words of `group_by`, in its order. `tag:NAME` is "" for what has no such tag; `feature` may be several, as in
            "labels,objects", where one billed unit answered them together.
    """

    keys: dict[str, str]


def cost_rows(connection: Connection, where: CostFilter, group_by: Sequence[str]) -> Iterator[CostRow]:
    """One row a group that has any sum, in order of the groups.

    Raises:
        BadReport: an unknown group, or one named twice.
    """
    check_groups(group_by)
    return _cost_rows(connection, where, group_by)


def _cost_rows(connection: Connection, where: CostFilter, group_by: Sequence[str]) -> Iterator[CostRow]:
    with_tags = bool(where.tags) or any(word.startswith(TAG) for word in group_by)
    table, dialect = (tag_rollups if with_tags else rollups), connection.dialect
    keys = [
        tag_value(table.c.tags, word.removeprefix(TAG), dialect) if word.startswith(TAG) else table.c[GROUPS[word]] for word in group_by
    ]
    named = [key.label(f"key{place}") for place, key in enumerate(keys)]
    days = table.c.day.between(where.first.isoformat(), where.last.isoformat())
    rows = select(*named, *(table.c[name] for name in MEASURES)).where(days, condition(where, table, dialect)).subquery()
    groups = [rows.c[key.name] for key in named]
    sums = (func.sum(rows.c[name]) for name in MEASURES)
    query = select(*groups, *sums).group_by(*groups).order_by(*groups)
    by_lines = "sku" in group_by or where.sku is not None
    for row in connection.execute(query, execution_options={"yield_per": _AT_A_TIME}):
        # PostgreSQL adds up big integers as numerics; without groups and rows the sums are NULL.
        measures = dict(zip(MEASURES, (int(nanos or 0) for nanos in row[len(groups) :]), strict=True))
        if any(measures.values()):
            yield CostRow(keys=dict(zip(group_by, row, strict=False)), **sums_of(measures, by_lines=by_lines))


def tag_names(connection: Connection, where: CostFilter) -> list[str]:
    """The tags that these rows have, by name."""
    days = tag_rollups.c.day.between(where.first.isoformat(), where.last.isoformat())
    query = select(tag_rollups.c.tags).where(days, condition(where, tag_rollups, connection.dialect)).distinct().limit(_AT_A_TIME)
    return sorted({name for tags in connection.execute(query).scalars() for name in tags_of(tags)})


def sums_of(measures: Mapping[str, int], *, by_lines: bool) -> dict[str, Any]:
    """The arguments of `CostSums` from measures by their columns; `by_lines`: a call counts once for each of its SKUs."""
    amounts = {name.removesuffix("_nanos"): Money(nanos) for name, nanos in measures.items() if name.endswith("_nanos")}
    calls = measures["line_calls" if by_lines else "calls"]
    return {"calls": calls, "billed_units": measures["billed_units"], "hits": measures["hits"], **amounts}


def total(rows: Iterable[CostSums]) -> CostSums:
    """The sum over a report's rows (its `calls` therefore count a call with two SKUs twice where the rows are by SKU)."""
    added = CostSums()
    for row in rows:
        added = added.plus(row)
    return added


AMOUNTS = tuple(name.removesuffix("_nanos") for name in MEASURES if name.endswith("_nanos"))
"""The names of a row's amounts."""
