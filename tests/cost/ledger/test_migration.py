from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from cost.ledger.schema import rollups, tag_rollups
from cost.ledger.verify import verify
from tests.cost.conftest import SCHEMAS
from tests.cost.ledger.test_details import SOME, make
from tests.cost.stores import MIGRATIONS, migrate


def test_the_migration_makes_the_tables_that_the_code_expects(engine):
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        found = [difference for difference in compare_metadata(context, list(SCHEMAS)) if "alembic_version" not in str(difference)]
    assert found == []


def test_no_column_holds_money_or_time_as_a_float(engine):
    for table in (table for schema in SCHEMAS for table in schema.tables.values()):
        for column in table.c:
            kind = str(column.type.compile(engine.dialect)).split("(")[0]
            assert kind in ("BIGINT", "INTEGER", "VARCHAR", "TEXT", "BOOLEAN", "BLOB", "BYTEA"), column
            if column.name.endswith(("_nanos", "_us")):
                assert kind == "BIGINT", column


def test_the_daily_sums_are_made_anew_from_the_rows_of_an_older_ledger(ledger, engine, clock):
    make(ledger, clock, SOME)
    with engine.begin() as connection:
        before = [connection.execute(table.select().order_by(*table.primary_key)).all() for table in (rollups, tag_rollups)]
        for name in ("attempts_by_owner", "usage_by_owner", "corrections_by_day"):
            connection.execute(text(f"DROP INDEX {name}"))
        for table in (rollups, tag_rollups):
            connection.execute(text(f"DROP TABLE {table.name}"))
            connection.execute(text(f"CREATE TABLE {table.name} (day VARCHAR(10))"))
    migrate(engine, [path for path in MIGRATIONS if path.stem.endswith("ledger_rows")])
    with engine.connect() as connection:
        assert [connection.execute(table.select().order_by(*table.primary_key)).all() for table in (rollups, tag_rollups)] == before
    assert list(verify(engine)) == []
    assert "attempts_by_owner" in {index["name"] for index in inspect(engine).get_indexes("attempts")}
