"""The journal: one entry a movement of money, each carrying the hash of its predecessor by the same writer.

The hash of a `reserve` covers the attempt's facts, its lines and its windows; that of a `correct` the correction's. So an altered or
missing row anywhere breaks a chain. `verify` reads this module's words back from the tables.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

ATTEMPT_FACTS = ("id", "request_id", "client", "tags", "provider", "features", "price_nanos", "reserved_at_us", "deadline_at_us")
LINE_FACTS = ("line", "sku", "units", "price_nanos", "list_price_nanos", "price_version", "counter_id")
CORRECTION_FACTS = ("id", "at_us", "attempt_id", "day", "provider", "sku", "features", "client", "tags", "units", "amount_nanos", "reason")

Row = Mapping[str, Any]


def attempt_facts(attempt: Row, lines: Sequence[Row], window_ids: Sequence[int]) -> list[object]:
    """What the entry of a `reserve` vouches for: everything about the attempt that may never change."""
    return [
        [attempt[name] for name in ATTEMPT_FACTS],
        [[line[name] for name in LINE_FACTS] for line in sorted(lines, key=lambda line: line["line"])],
        sorted(window_ids),
    ]


def correction_facts(correction: Row, window_ids: Sequence[int]) -> list[object]:
    """What the entry of a `correct` vouches for."""
    return [[correction[name] for name in CORRECTION_FACTS], sorted(window_ids)]


def entry_hash(previous: bytes, entry: Row, facts: Sequence[object]) -> bytes:
    """SHA-256 over the predecessor's hash, the entry and the facts it vouches for."""
    said = [entry[name] for name in ("writer", "seq", "at_us", "kind", "subject_id", "amount_nanos", "outcome", "provider_request_id")]
    return hashlib.sha256(previous + json.dumps([said, facts], separators=(",", ":")).encode()).digest()


@dataclass(slots=True)
class Chain:
    """One writer's chain: where it stands, and the entries that a batch adds to it."""

    writer: str
    seq: int = 0
    last_hash: bytes = b""
    added: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self,
        kind: str,
        subject_id: str,
        at_us: int,
        amount_nanos: int,
        *,
        outcome: str | None = None,
        provider_request_id: str | None = None,
        facts: Sequence[object] = (),
    ) -> None:
        """Append one movement."""
        entry = {
            "writer": self.writer,
            "seq": self.seq + 1,
            "at_us": at_us,
            "kind": kind,
            "subject_id": subject_id,
            "amount_nanos": amount_nanos,
            "outcome": outcome,
            "provider_request_id": provider_request_id,
        }
        self.last_hash = entry["hash"] = entry_hash(self.last_hash, entry, facts)
        self.seq += 1
        self.added.append(entry)
