"""`vision-gateway ledger verify`: is every entry where it was written, and does every sum still follow from the rows?

Changes nothing, and may run beside a ledger in use: it reads one snapshot.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Select, bindparam, select, text

from cost.database import read_snapshot
from cost.ledger.journal import Row, attempt_facts, correction_facts, entry_hash
from cost.ledger.schema import attempt_lines, attempt_windows, attempts, correction_windows, corrections, entries
from cost.ledger.sums import sums

_PAGE = 500
_IDS: Any = bindparam("ids", expanding=True)
_NEXT_ENTRIES = (
    select(entries).where(entries.c.writer == bindparam("writer"), entries.c.seq > bindparam("after")).order_by(entries.c.seq).limit(_PAGE)
)
_ATTEMPTS = select(attempts).where(attempts.c.id.in_(_IDS))
_LINES = select(attempt_lines).where(attempt_lines.c.attempt_id.in_(_IDS))
_LINKS = select(attempt_windows).where(attempt_windows.c.attempt_id.in_(_IDS), attempt_windows.c.joined_later.is_(False))
_CORRECTIONS = select(corrections).where(corrections.c.id.in_(_IDS))
_CORRECTION_LINKS = select(correction_windows).where(correction_windows.c.correction_id.in_(_IDS))


def verify(engine: Engine, progress: Callable[[int], None] = lambda _entries: None) -> Iterator[str]:
    """Everything that is wrong, a sentence each; nothing when the ledger is sound.

    Args:
        engine: of the ledger's database.
        progress: told how many more entries have been read.
    """
    with read_snapshot(engine) as connection:
        for writer in connection.execute(select(entries.c.writer).distinct().order_by(entries.c.writer)).scalars().all():
            yield from _chain(connection, writer, progress)
        for query, sentence in sums(engine.dialect.name):
            for row in connection.execute(text(query)).mappings():
                yield sentence.format(**row)


def _chain(connection: Connection, writer: str, progress: Callable[[int], None]) -> Iterator[str]:
    """One writer's entries, in order, each against its predecessor and against the rows it vouches for."""
    seq, last_hash = 0, b""
    while page := _rows(connection, _NEXT_ENTRIES, {"writer": writer, "after": seq}):
        facts = _facts_of(connection, page)
        for entry in page:
            if entry["seq"] != seq + 1:
                yield f"entries {seq + 1} to {entry['seq'] - 1} of writer {writer} are missing"
            elif entry["hash"] != entry_hash(last_hash, entry, facts[entry["seq"]]):
                yield f"entry {entry['seq']} of writer {writer} ({entry['kind']} {entry['subject_id']}) or its facts were altered"
            seq, last_hash = entry["seq"], entry["hash"]
        progress(len(page))


def _rows(connection: Connection, query: Select[Any], values: dict[str, Any]) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(query, values).mappings()]


def _facts_of(connection: Connection, page: Sequence[Row]) -> dict[int, Sequence[object]]:
    """By the entry's number, what its hash covers beyond itself. A row that is missing leaves its place empty."""
    reserved = {"ids": [entry["subject_id"] for entry in page if entry["kind"] == "reserve"]}
    corrected = {"ids": [entry["subject_id"] for entry in page if entry["kind"] == "correct"]}
    attempt_rows, lines, links = {}, defaultdict(list), defaultdict(list)
    correction_rows, correction_links = {}, defaultdict(list)
    if reserved["ids"]:
        attempt_rows = {row["id"]: row for row in _rows(connection, _ATTEMPTS, reserved)}
        for line in _rows(connection, _LINES, reserved):
            lines[line["attempt_id"]].append(line)
        for link in connection.execute(_LINKS, reserved):
            links[link.attempt_id].append(link.window_id)
    if corrected["ids"]:
        correction_rows = {row["id"]: row for row in _rows(connection, _CORRECTIONS, corrected)}
        for link in connection.execute(_CORRECTION_LINKS, corrected):
            correction_links[link.correction_id].append(link.window_id)
    facts: dict[int, Sequence[object]] = {}
    for entry in page:
        id_ = entry["subject_id"]
        facts[entry["seq"]] = ()
        if entry["kind"] == "reserve" and id_ in attempt_rows:
            facts[entry["seq"]] = attempt_facts(attempt_rows[id_], lines[id_], links[id_])
        elif entry["kind"] == "correct" and id_ in correction_rows:
            facts[entry["seq"]] = correction_facts(correction_rows[id_], correction_links[id_])
    return facts
