"""How SQLite carries a statement out: what is found by an index stays quick, however many rows there are."""

from contextlib import contextmanager

from sqlalchemy import event


@contextmanager
def steps_of(engine):
    """The steps, as `EXPLAIN QUERY PLAN` tells them, of every query and deletion that is made meanwhile."""
    steps = []

    def explain(connection, _cursor, statement, parameters, *_):
        if statement.startswith(("SELECT", "DELETE")):
            cursor = connection.connection.cursor()
            steps.extend(row[3] for row in cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters))

    event.listen(engine, "before_cursor_execute", explain)
    yield steps
    event.remove(engine, "before_cursor_execute", explain)
