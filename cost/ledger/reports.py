"""What was spent, from the daily sums: `GET /v1/costs`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, Table, func, select

from cost.ledger.rollups import Sums
from cost.ledger.schema import MEASURES, rollups, tag_rollups
from cost.money import FREE, Money

GROUPS = {"provider": "provider", "day": "day", "sku": "sku", "feature": "features", "client": "client"}
"""What a report can be grouped by, and the column it reads; `tag:NAME` comes on top, once."""


class BadReport(ValueError):
    """A report can't be grouped so."""


@dataclass(frozen=True, slots=True)
class CostRow:
    """One group's sums.

    Attributes:
        keys: by the words of `group_by`, in its order. `tag:NAME` is "" for what has no such tag; `feature` may be several, as in
            "labels,objects", where one billed unit answered them together.
        calls: attempts that were, or may have been, billed, and in-house answers. Grouped by SKU, a call with two SKUs counts in both rows.
        cost: settled, with corrections. `reserved` and `unknown` stand beside it.
        imputed: what in-house answers cost.
        avoided: what answers of the cache and of the in-house model saved.
        hits: answers that called nobody.
    """

    keys: dict[str, str]
    calls: int
    billed_units: int
    cost: Money
    reserved: Money
    unknown: Money
    imputed: Money
    avoided: Money
    hits: int


def costs(connection: Connection, first: date, last: date, group_by: Sequence[str]) -> list[CostRow]:
    """Sums over the UTC days `first` to `last`, both included, one row a group, in order of the groups.

    Raises:
        BadReport: an unknown group, one named twice, or two tags.
    """
    _check(group_by)
    plain = [word for word in group_by if not word.startswith("tag:")]
    tag = next((word for word in group_by if word.startswith("tag:")), None)
    columns = [GROUPS[word] for word in plain]
    groups = _grouped(connection, rollups, first, last, columns)
    if tag is not None:
        tagged = _grouped(connection, tag_rollups, first, last, [*columns, "tag_value"], tag.removeprefix("tag:"))
        groups = _part_by_tag(groups, tagged)
    words = [*plain, tag] if tag is not None else plain
    rows = []
    for key, sums in sorted(groups.items()):
        if any(sums.values()):
            by_word = dict(zip(words, key, strict=True))
            rows.append(_row({word: by_word[word] for word in group_by}, sums))
    return rows


def total(rows: Sequence[CostRow]) -> CostRow:
    """The sum over a report's rows; its `calls` are right for reports that are not grouped by SKU."""

    def of(name: str) -> Money:
        return sum((getattr(row, name) for row in rows), FREE)

    return CostRow(
        {},
        sum(row.calls for row in rows),
        sum(row.billed_units for row in rows),
        of("cost"),
        of("reserved"),
        of("unknown"),
        of("imputed"),
        of("avoided"),
        sum(row.hits for row in rows),
    )


def _check(group_by: Sequence[str]) -> None:
    for word in group_by:
        if word not in GROUPS and not (word.startswith("tag:") and len(word) > len("tag:")):
            raise BadReport(f"{word!r} is none of {', '.join(GROUPS)} and tag:NAME")
    if len(set(group_by)) < len(group_by):
        raise BadReport("a group is named twice")
    if sum(word.startswith("tag:") for word in group_by) > 1:
        raise BadReport("a report is grouped by one tag at most")


def _grouped(
    connection: Connection, table: Table, first: date, last: date, columns: Sequence[str], tag: str | None = None
) -> dict[tuple[str, ...], Sums]:
    keys = [table.c[name] for name in columns]
    query = select(*keys, *(func.sum(table.c[name]).label(name) for name in MEASURES))
    query = query.where(table.c.day.between(first.isoformat(), last.isoformat())).group_by(*keys)
    if tag is not None:
        query = query.where(table.c.tag == tag)
    found = connection.execute(query).all()
    # PostgreSQL adds up big integers as numerics; without groups and rows the sums are NULL.
    return {tuple(row[: len(keys)]): dict(zip(MEASURES, (int(nanos or 0) for nanos in row[len(keys) :]), strict=True)) for row in found}


def _part_by_tag(groups: dict[tuple[str, ...], Sums], tagged: dict[tuple[str, ...], Sums]) -> dict[tuple[str, ...], Sums]:
    """Each group by the tag's values, and under "" what is left."""
    parted = {(*key, ""): dict(sums) for key, sums in groups.items()}
    for key, sums in tagged.items():
        if key[-1]:
            parted[key] = sums
            rest = parted[(*key[:-1], "")]
            for name, amount in sums.items():
                rest[name] -= amount
    return parted


def _row(keys: dict[str, str], sums: Sums) -> CostRow:
    return CostRow(
        keys,
        sums["line_calls" if "sku" in keys else "calls"],
        sums["billed_units"],
        Money(sums["cost_nanos"]),
        Money(sums["reserved_nanos"]),
        Money(sums["unknown_nanos"]),
        Money(sums["imputed_nanos"]),
        Money(sums["avoided_nanos"]),
        sums["hits"],
    )
