"""Daily sums, kept in the transaction that moves the money, so that a report reads hundreds of rows instead of millions.

They are kept twice: for reports without tags, which then read few rows however many values tags have, and by all tags of a row.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from cost.ledger.schema import MEASURES, ROLLUP_KEYS, rollups, tag_rollups
from cost.ledger.stores import Store

Key = tuple[str, ...]
Sums = dict[str, int]


class RollupWriter:
    """The statements, built once."""

    def __init__(self, store: Store) -> None:
        self._prepared = store.prepared
        self._add = store.add_to(rollups, MEASURES)
        self._add_tagged = store.add_to(tag_rollups, MEASURES)

    def write(self, connection: Connection, changes: "RollupChanges") -> None:
        """Add a batch's changes. In order of their keys, so that two batches never wait for each other in a circle."""
        if changes.plain:
            self._prepared.write(connection, self._add, [_row(ROLLUP_KEYS, key, sums) for key, sums in sorted(changes.plain.items())])
        if changes.tagged:
            keys = (*ROLLUP_KEYS, "tags")
            self._prepared.write(connection, self._add_tagged, [_row(keys, key, sums) for key, sums in sorted(changes.tagged.items())])


class RollupChanges:
    """What one batch adds to the daily sums."""

    def __init__(self) -> None:
        self.plain: dict[Key, Sums] = defaultdict(lambda: dict.fromkeys(MEASURES, 0))
        self.tagged: dict[Key, Sums] = defaultdict(lambda: dict.fromkeys(MEASURES, 0))

    def add(self, day: str, sku: str, of: Mapping[str, Any], **measures: int) -> None:
        """Add measures of one line.

        Args:
            day: of the reserve, UTC.
            sku: the line's.
            of: whose it is: a row with `provider`, `features`, `client`, `tags`.
            measures: by their column names; negative ones take away.
        """
        key = (day, of["provider"], sku, of["features"], of["client"])
        for sums in (self.plain[key], self.tagged[*key, of["tags"]]):
            for name, amount in measures.items():
                sums[name] += amount


def _row(names: tuple[str, ...], key: Key, sums: Sums) -> dict[str, object]:
    return {**dict(zip(names, key, strict=True)), **sums}
