"""Which rows of the ledger a question is about: the days, and one value of any key that a report can be grouped by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Dialect, FromClause, and_, case, func, literal, true

GROUPS = {"provider": "provider", "day": "day", "sku": "sku", "feature": "features", "client": "client"}
"""What a report can be grouped by, and the column it reads; any `tag:NAME` comes on top."""

TAG = "tag:"


class BadReport(ValueError):
    """A report can't be grouped so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostFilter:
    """Rows of the UTC days `first` to `last`, both included, with these values; None: any.

    Attributes:
        feature: as a report's row names it: "labels,objects" where one billed unit answered them together.
        tags: value by name; "" is for what has no such tag.
    """

    first: date
    last: date
    provider: str | None = None
    sku: str | None = None
    feature: str | None = None
    client: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    def keys(self) -> dict[str, str]:
        """The asked values by the columns that hold them, the day and tags apart."""
        asked = {"provider": self.provider, "sku": self.sku, "features": self.feature, "client": self.client}
        return {column: value for column, value in asked.items() if value is not None}


def check_groups(group_by: Sequence[str]) -> None:
    """Refuse what is no group.

    Raises:
        BadReport: an unknown group, or one named twice.
    """
    for word in group_by:
        if word not in GROUPS and not (word.startswith(TAG) and word != TAG and "\0" not in word):
            raise BadReport(f"{word!r} is none of {', '.join(GROUPS)} and tag:NAME")
    if len(set(group_by)) < len(group_by):
        raise BadReport("a group is named twice")


def tag_value(tags: ColumnElement[str], name: str, dialect: Dialect) -> ColumnElement[str]:
    """The value of one tag in SQL; "" where there is none. Exact: LIKE takes A for a on SQLite, and knows wildcards."""
    find: Any = func.instr if dialect.name == "sqlite" else func.strpos
    mark = f",{name}:"
    rest = func.substr(tags, find(tags, literal(mark)) + len(mark))
    return case((find(tags, literal(mark)) > 0, func.substr(rest, 1, find(rest, literal(",")) - 1)), else_=literal(""))


def condition(where: CostFilter, table: FromClause, dialect: Dialect, *, indexed: bool = True) -> ColumnElement[bool]:
    """What rows of a table meet: one that has the columns of a daily sum, and `tags` where tags are asked for.

    Not `indexed`: SQLite, which has no statistics, is kept from reading all of a provider's rows because an index begins with it.
    """
    hidden = dialect.name == "sqlite" and not indexed
    keys = [(func.coalesce(table.c[column], "") if hidden else table.c[column]) == value for column, value in where.keys().items()]
    tags = [tag_value(table.c.tags, name, dialect) == value for name, value in where.tags.items()]
    return and_(true(), *keys, *tags)
