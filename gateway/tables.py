"""Tables as CSV that no spreadsheet takes for formulas."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence

_BLANK = r"\s\x00-\x20\u00a0\u200b-\u200f\u2060\ufeff"
# Also where a spreadsheet may cut a cell: at a line's end inside it, and at the separators of other locales. Japanese ones calculate with
# wide signs as well.
_FORMULA = re.compile(rf"(?:^|(?<=[\r\n;\t]))(?=[{_BLANK}]*[=+\-@|%\uff1d\uff0b\uff0d\uff20])|^(?=[\t\r\n])")


def csv_lines(header: Sequence[str], rows: Iterable[Sequence[object]], amounts: frozenset[str]) -> Iterator[str]:
    """A CSV file, line by line (RFC 4180).

    Args:
        header: the columns' names.
        rows: as many cells each; None is an empty one.
        amounts: the columns that hold our own numbers: only these may begin with a minus.

    Source: https://owasp.org/www-community/attacks/CSV_Injection
    """
    yield _line([harmless(name) for name in header])
    numeric = [name in amounts for name in header]
    for row in rows:
        texts = ("" if cell is None else str(cell) for cell in row)
        yield _line([text if number else harmless(text) for text, number in zip(texts, numeric, strict=True)])


def harmless(text: str) -> str:
    """Text that a spreadsheet shows as it is: an apostrophe stands before whatever could begin a formula."""
    return _FORMULA.sub("'", text)


def _line(cells: Sequence[str]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue()
