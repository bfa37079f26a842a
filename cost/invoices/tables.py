"""Rows of a file, one at a time, each with its line: CSV, NDJSON, one JSON array, Parquet; gzipped or not."""

import csv
import gzip
import io
import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, BinaryIO

_UNPACKED_BYTES_MAX = 2 << 30
_ARRAY_BYTES_MAX = 32 << 20
_PARQUET_ROWS = 5_000

Row = Mapping[str, Any]


class BadInvoice(ValueError):
    """A file that can't be read, and where.

    Attributes:
        line: counted from 1, the header included; of Parquet the row. None where no line is to blame.
        column: as the file names it, or None.
    """

    def __init__(self, problem: str, *, line: int | None = None, column: str | None = None) -> None:
        place = ", ".join([*([f"line {line}"] if line else []), *([f"column {column}"] if column else [])])
        super().__init__(f"{place}: {problem}" if place else problem)
        self.problem = problem
        self.line = line
        self.column = column


def rows_of(file: BinaryIO) -> Iterator[tuple[int, Row]]:
    """Every row with its line. Nested JSON is flattened: `{"sku": {"id": 1}}` has the column `sku.id`; lists stay as they are.

    Raises:
        BadInvoice: what the file is can't be told, or a line of it can't be read.
    """
    start = file.read(4)
    file.seek(0)
    if start.startswith(b"\x1f\x8b"):
        with gzip.open(file) as unpacked:
            yield from _text_rows(_Bounded(unpacked))
    elif start == b"PAR1":
        yield from _parquet_rows(file)
    else:
        yield from _text_rows(file)


def _text_rows(file: Any) -> Iterator[tuple[int, Row]]:
    buffered = io.BufferedReader(file) if isinstance(file, io.RawIOBase) else file
    text = io.TextIOWrapper(buffered, encoding="utf-8-sig", newline="")
    line = 0
    try:
        first = _first_line(text)
        line = 1
        if first.lstrip().startswith("["):
            yield from _array_rows(first + text.read(_ARRAY_BYTES_MAX + 1))
        elif first.lstrip().startswith("{"):
            for line, said in enumerate(_again(first, text), 1):
                if said.strip():
                    yield line, _flat(_json(said, line), line)
        else:
            for line, row in _csv_rows(_again(first, text)):
                yield line, row
    except UnicodeDecodeError as error:
        raise BadInvoice(f"is not UTF-8: {error.reason}", line=line + 1) from error
    except (gzip.BadGzipFile, EOFError) as error:
        raise BadInvoice(f"the compressed file is damaged: {error}", line=line + 1) from error
    finally:
        text.detach()


def _first_line(text: io.TextIOWrapper) -> str:
    while line := text.readline(1 << 20):
        if line.strip():
            return line
    raise BadInvoice("the file is empty")


def _again(first: str, rest: io.TextIOWrapper) -> Iterator[str]:
    yield first
    # Not `yield from`: it would close the file with this generator.
    for line in rest:  # noqa: UP028
        yield line


def _csv_rows(lines: Iterator[str]) -> Iterator[tuple[int, Row]]:
    reader = csv.reader(lines, strict=True)
    try:
        header = [name.strip() for name in next(reader)]
        doubled = next((name for place, name in enumerate(header) if name and name in header[:place]), None)
        if doubled is not None:
            raise BadInvoice("is there twice", line=1, column=doubled)
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(header):
                column = header[len(cells)] if len(cells) < len(header) else None
                raise BadInvoice(f"has {len(cells)} cells, the header {len(header)}", line=reader.line_num, column=column)
            yield reader.line_num, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise BadInvoice(f"is no CSV: {error}", line=reader.line_num) from error


def _array_rows(text: str) -> Iterator[tuple[int, Row]]:
    if len(text) > _ARRAY_BYTES_MAX:
        raise BadInvoice(f"one JSON array of more than {_ARRAY_BYTES_MAX >> 20} MiB: export it as NDJSON, one object a line")
    for number, item in enumerate(_json(text, 1), 1):
        yield number, _flat(item, number)


def _json(text: str, line: int) -> Any:
    try:
        return json.loads(text, parse_float=Decimal, parse_int=Decimal, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        at = getattr(error, "lineno", 1) - 1
        raise BadInvoice(f"is no JSON: {error}", line=line + at) from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _flat(item: Any, line: int | None = None, prefix: str = "") -> dict[str, Any]:
    if not isinstance(item, dict):
        raise BadInvoice("is no JSON object", line=line)
    flat: dict[str, Any] = {}
    for name, value in item.items():
        flat |= _flat(value, line, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _parquet_rows(file: BinaryIO) -> Iterator[tuple[int, Row]]:
    import pyarrow as pa  # noqa: PLC0415 -- 170 MB that most processes never need
    from pyarrow import parquet  # noqa: PLC0415

    line = 0
    try:
        for batch in parquet.ParquetFile(file).iter_batches(_PARQUET_ROWS):
            for row in batch.to_pylist():
                line += 1
                yield line, _flat(row, line)
    except (pa.ArrowException, OSError) as error:
        raise BadInvoice(f"the Parquet file is damaged: {str(error).splitlines()[0]}", line=line + 1) from error


class _Bounded(io.RawIOBase):
    """What a compressed file unpacks to, up to a limit: a bomb is refused before it fills anything."""

    def __init__(self, file: Any) -> None:
        super().__init__()
        self._file = file
        self._left = _UNPACKED_BYTES_MAX

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        self._left -= len(data)
        if self._left < 0:
            raise BadInvoice(f"unpacks to more than {_UNPACKED_BYTES_MAX >> 30} GiB")
        buffer[: len(data)] = data
        return len(data)
