import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from cost.database import open_database
from gateway.cli import main


@pytest.fixture
def run(tmp_path, monkeypatch):
    """`run(DATABASE, ...)`: commands on the database of that name."""

    def told(database, *arguments):
        monkeypatch.setenv("GATEWAY_DATABASE_URL", f"sqlite:///{tmp_path}/{database}")
        return CliRunner().invoke(main, arguments)

    return told


def test_a_backup_is_a_database_of_its_own_and_is_not_written_over(run, tmp_path):
    run("gateway.db", "keys", "create", "shop")
    assert "copy.db holds the database" in run("gateway.db", "ledger", "backup", f"{tmp_path}/copy.db").stdout
    run("gateway.db", "keys", "revoke", "shop")
    assert "shop" in run("copy.db", "keys", "list").stdout
    assert run("copy.db", "ledger", "verify").stdout == "The ledger is sound.\n"
    again = run("gateway.db", "ledger", "backup", f"{tmp_path}/copy.db")
    assert again.exit_code == 1
    assert "exists already" in again.stderr


def test_a_backup_that_can_not_be_written_is_told_in_a_line(run, tmp_path):
    run("gateway.db", "keys", "create", "shop")
    told = run("gateway.db", "ledger", "backup", f"{tmp_path}/nowhere/copy.db")
    assert told.exit_code == 1
    assert "can't be written" in told.stderr


def test_a_backup_has_the_schema_that_the_database_has(run, tmp_path):
    """Else whoever backs up with a new version, to be able to go back, could not go back."""
    run("gateway.db", "keys", "create", "shop")
    engine = open_database(f"sqlite:///{tmp_path}/gateway.db")
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = 'another'"))
    engine.dispose()
    assert run("gateway.db", "ledger", "backup", f"{tmp_path}/copy.db").exit_code == 0
    copy = open_database(f"sqlite:///{tmp_path}/copy.db")
    with copy.connect() as connection:
        assert connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one() == "another"
    copy.dispose()


def test_of_a_database_that_there_is_not_there_is_no_backup(run, tmp_path):
    told = run("gateway.db", "ledger", "backup", f"{tmp_path}/copy.db")
    assert told.exit_code == 1
    assert "there is no such file" in told.stderr
    assert list(tmp_path.iterdir()) == []
