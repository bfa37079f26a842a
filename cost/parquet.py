"""FOCUS as Parquet, in row groups: one is in memory. pyarrow is imported when the first file is asked for, never before."""

import io
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Any

from cost.focus import COLUMNS, NUMBERS, TIMES, FocusRow

_GROUP_ROWS = 20_000


def parquet_pieces(rows: Iterable[FocusRow]) -> Iterator[bytes]:
    """A Parquet file, piece by piece. Amounts and quantities are decimal(38, 9), times are UTC, everything else is text."""
    import pyarrow as pa  # noqa: PLC0415 -- 150 MB that most processes never need
    from pyarrow import parquet  # noqa: PLC0415

    kinds = {True: pa.decimal128(38, 9), False: pa.string()}
    schema = pa.schema([(name, pa.timestamp("us", tz="UTC") if name in TIMES else kinds[name in NUMBERS]) for name in COLUMNS])
    sink = _Pieces()
    with parquet.ParquetWriter(pa.PythonFile(sink, mode="w"), schema, compression="zstd") as writer:
        waiting = iter(rows)
        while group := list(islice(waiting, _GROUP_ROWS)):
            columns = {name: [_value(name, row[name]) for row in group] for name in COLUMNS}
            writer.write_table(pa.table(columns, schema=schema))
            yield sink.taken()
    yield sink.taken()


def _value(name: str, text: str | None) -> Any:
    if text is None:
        return None
    if name in NUMBERS:
        return Decimal(text)
    return datetime.fromisoformat(text) if name in TIMES else text


class _Pieces(io.RawIOBase):
    """A file that forgets what has been taken."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._waiting.append(bytes(data))
        return len(self._waiting[-1])

    def taken(self) -> bytes:
        """What was written since the last time."""
        waiting, self._waiting = self._waiting, []
        return b"".join(waiting)
