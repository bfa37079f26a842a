import pytest
import sqlalchemy as sa

from cost.database import BadDatabase
from gateway.database import prepare_database


def test_a_schema_of_a_newer_version_is_refused_in_plain_words(tmp_path):
    engine = prepare_database(f"sqlite:///{tmp_path}/gateway.db")
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(BadDatabase, match=r"not of this version.*9999"):
        prepare_database(f"sqlite:///{tmp_path}/gateway.db")


def test_a_database_is_prepared_twice_without_harm(tmp_path):
    for _ in range(2):
        engine = prepare_database(f"sqlite:///{tmp_path}/gateway.db")
        assert "ledger_entries" in sa.inspect(engine).get_table_names()
        engine.dispose()
