"""Tables as CSV that no spreadsheet takes for formulas."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")


def csv_lines(header: Sequence[str], rows: Iterable[Sequence[object]], amounts: frozenset[str]) -> Iterator[str]:
    """A CSV file, line by line (RFC 4180).

    Args:
        header: the columns' names.
        rows: as many cells each.
        amounts: the columns that hold our own numbers: only these may begin with a minus.

    Source: https://owasp.org/www-community/attacks/CSV_Injection
    """
    yield _line(header)
    numeric = [name in amounts for name in header]
    for row in rows:
        yield _line([str(cell) if number else harmless(str(cell)) for cell, number in zip(row, numeric, strict=True)])


def harmless(text: str) -> str:
    """Text that a spreadsheet shows as it is."""
    return f"'{text}" if text.lstrip(" \xa0\ufeff").startswith(_FORMULA) else text


def _line(cells: Sequence[str]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue()
