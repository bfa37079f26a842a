"""Answers that cost no money - the cache's and the in-house model's - written in batches, off the request path.

At most what came since the last flush (one second) is lost when a process is killed, and what goes past `WAITING_MAX` while the database
is away. A normal stop loses nothing.
"""

import logging
import threading
from functools import partial
from typing import Any

from sqlalchemy import insert

from cost.ledger.book import Book
from cost.ledger.operations import Alone
from cost.ledger.schema import usage_rows
from cost.ledger.terms import UsageRow, features_text, tags_text
from cost.ledger.times import day_of
from cost.ledger.writer import Run

WAITING_MAX = 20_000
_BATCH_MAX = 1_000
_INSERT = insert(usage_rows)

log = logging.getLogger(__name__)


class UsageBuffer:
    """Rows that wait to be written. Shared by threads."""

    def __init__(self) -> None:
        self._rows: list[tuple[int | None, UsageRow]] = []
        self._guard = threading.Lock()
        self.lost = 0

    def add(self, at_us: int | None, row: UsageRow) -> None:
        """Take a row; or count it as lost where too many wait. `at_us` None: the time of its batch.

        Raises:
            ValueError: see `UsageRow.check`: here, and not in the middle of a batch.
        """
        row.check()
        with self._guard:
            if len(self._rows) < WAITING_MAX:
                self._rows.append((at_us, row))
            else:
                self.lost += 1

    def flush(self, run: Run) -> None:
        """Write everything that waits now; what could not be written waits on, as what comes meanwhile waits for the next time."""
        for _ in range(0, len(self._rows), _BATCH_MAX):
            rows = self._rows[:_BATCH_MAX]
            run([Alone(partial(_write, rows))])
            with self._guard:
                del self._rows[: len(rows)]


def _write(rows: list[tuple[int | None, UsageRow]], book: Book) -> None:
    written = [_columns(book.now_us if at_us is None else at_us, row) for at_us, row in rows]
    book.run(_INSERT, written)
    for row in written:
        book.rollups.add(day_of(row["at_us"]), row["sku"], row, **_measures(row["kind"], row["imputed_nanos"], row["avoided_nanos"]))


def _measures(kind: str, imputed: int, avoided: int) -> dict[str, int]:
    amounts = {"imputed_nanos": imputed, "avoided_nanos": avoided}
    if kind == "in_house":
        return {"calls": 1, "line_calls": 1, **amounts}
    return {"hits": 1, **amounts, "avoided_cache_nanos" if kind == "hit" else "avoided_joined_nanos": avoided}


def _columns(at_us: int, row: UsageRow) -> dict[str, Any]:
    return {
        "at_us": at_us,
        "kind": row.kind,
        "request_id": row.request_id,
        "client": row.client,
        "tags": tags_text(row.tags),
        "provider": row.provider,
        "features": features_text(row.features),
        "sku": row.sku,
        "units": row.units,
        "imputed_nanos": row.imputed.nanos,
        "avoided_nanos": row.avoided.nanos,
    }
