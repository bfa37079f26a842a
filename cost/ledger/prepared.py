"""Core statements compiled once and run on the driver's own cursor.

What a batch runs, it runs for every paid call and while it holds the locks that others wait for; SQLAlchemy's execution costs several times
the statement itself. Everything else goes the usual way.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Dialect
from sqlalchemy.sql.compiler import SQLCompiler

Row = tuple[Any, ...]
Values = Mapping[str, Any]


class Prepared:
    """The statements of one dialect. Their values need no conversion: whole numbers, text, bytes and None.

    Errors are the driver's own (`Dialect.loaded_dbapi.Error`).
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._compiled: dict[tuple[int, Sequence[str]], tuple[Any, SQLCompiler, str]] = {}
        self._expanded: dict[tuple[int, int], tuple[Any, str, bool]] = {}

    def rows(self, connection: Connection, statement: Any) -> list[Row]:
        """What a query without values finds."""
        _, sql = self._compile(statement, ())
        return self._fetch(connection, sql, ())

    def rows_in(self, connection: Connection, statement: Any, ids: Sequence[Any]) -> list[Row]:
        """What a query finds whose only value is the list `ids` behind IN; at least one."""
        # Rounded up to a power of two by repeating the last, so that few lengths are compiled.
        padded = [*ids, *[ids[-1]] * ((1 << (len(ids) - 1).bit_length()) - len(ids))]
        key = (id(statement), len(padded))
        if key not in self._expanded:
            compiled, _ = self._compile(statement, ())
            state = compiled.construct_expanded_state({"ids": padded})
            self._expanded[key] = statement, state.statement, compiled.positional
        _, sql, positional = self._expanded[key]
        return self._fetch(connection, sql, padded if positional else {f"ids_{n}": id_ for n, id_ in enumerate(padded, 1)})

    def write(self, connection: Connection, statement: Any, rows: Sequence[Values]) -> None:
        """Run a statement for each row, at least one; all have the same names."""
        compiled, sql = self._compile(statement, tuple(rows[0]))
        order = compiled.positiontup
        values = rows if order is None else [[row[name] for name in order] for row in rows]
        cursor = connection.connection.cursor()
        cursor.executemany(sql, values)
        cursor.close()

    def _compile(self, statement: Any, names: Sequence[str]) -> tuple[SQLCompiler, str]:
        """The statement is kept with its text: an id is only unique among the living."""
        key = (id(statement), names)
        if key not in self._compiled:
            compiled = statement.compile(dialect=self._dialect, column_keys=list(names) or None)
            self._compiled[key] = statement, compiled, str(compiled)
        _, compiled, sql = self._compiled[key]
        return compiled, sql

    @staticmethod
    def _fetch(connection: Connection, sql: str, values: Any) -> list[Row]:
        cursor = connection.connection.cursor()
        cursor.execute(sql, values)
        found = list(cursor.fetchall())
        cursor.close()
        return found
