from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from tests.cost.conftest import SCHEMAS


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
