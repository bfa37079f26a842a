import pytest
from click.testing import CliRunner

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
    told = run("gateway.db", "ledger", "backup", f"{tmp_path}/nowhere/copy.db")
    assert told.exit_code == 1
    assert "can't be written" in told.stderr
