import json
from contextlib import closing

import pytest
from click.testing import CliRunner

from cost.comparisons import Comparison, ComparisonStore, Found, Reply
from gateway.cli.records import command
from gateway.database import prepare_database


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The command on one database after another, and its store."""

    def run(database, *arguments):
        url = f"sqlite:///{tmp_path}/{database}.db"
        monkeypatch.setenv("GATEWAY_DATABASE_URL", url)
        return CliRunner().invoke(command, [str(argument) for argument in arguments])

    return run


@pytest.mark.parametrize("name", ["records.jsonl", "records.jsonl.gz"])
def test_records_go_from_one_gateway_to_another_by_a_file_and_twice_does_no_harm(run, tmp_path, name):
    engine = prepare_database(f"sqlite:///{tmp_path}/here.db")
    one = Comparison(digest="d" * 64, feature="objects", origin="compare", replies={"local": Reply((Found("dog", 0.5),))}, source="autumn")
    with closing(ComparisonStore(engine)) as store:
        store.write([one])
    assert "records are in" in run("here", "export", tmp_path / name).stdout
    assert run("there", "import", tmp_path / name).output == "1 records, 1 of them new.\n"
    assert run("there", "import", tmp_path / name).output == "1 records, 0 of them new.\n"
    counted = run("there", "count", "--json").output
    assert json.loads(counted) == [{"feature": "objects", "origin": "compare", "records": 1}]


def test_a_line_that_is_no_record_is_named(run, tmp_path):
    file = tmp_path / "bad.jsonl"
    file.write_text('\n{"id": 1}\n')
    said = run("here", "import", file)
    assert said.exit_code == 1
    assert "line 2" in said.output
