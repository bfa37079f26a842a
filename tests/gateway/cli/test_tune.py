import json
from contextlib import closing
from dataclasses import replace

import pytest
from click.testing import CliRunner
from sqlalchemy import update

from cost.comparisons import ComparisonStore
from cost.escalation.schema import policies
from cost.escalation.shelf import PolicyShelf
from gateway.cli.tune import command
from gateway.database import prepare_database
from tests.gateway.test_escalate import record_of


@pytest.fixture
def database(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path}/gateway.db"
    monkeypatch.setenv("GATEWAY_DATABASE_URL", url)
    engine = prepare_database(url)
    yield engine
    engine.dispose()


@pytest.fixture
def run(database):
    return lambda *arguments: CliRunner().invoke(command, [str(argument) for argument in arguments])


def write(database, records):
    with closing(ComparisonStore(database)) as store:
        store.write(list(records))


def test_a_policy_is_learned_from_the_database_kept_as_a_version_and_listed(run, database):
    write(database, (record_of(k) for k in range(100)))
    tuned = json.loads(run("--json").output)
    assert (tuned["feature"], tuned["records"], tuned["target"], tuned["in_use"]) == ("objects", 100, "truth", True)
    again = json.loads(run("--json").output)
    listed = json.loads(run("list", "--json").output)
    assert [(one["version"], one["in_use"]) for one in listed] == [(again["version"], True), (tuned["version"], False)]


def test_one_can_go_back_to_an_earlier_version(run, database):
    write(database, (record_of(k) for k in range(100)))
    first, second = (json.loads(run("--json").output)["version"] for _ in range(2))
    assert PolicyShelf(database).in_use() == {"objects": second}
    assert run("use", first).exit_code == 0
    assert PolicyShelf(database).in_use() == {"objects": first}
    assert run("use", 999).exit_code == 1


def test_nobody_goes_back_to_a_version_that_can_not_be_read(run, database):
    write(database, (record_of(k) for k in range(100)))
    for _ in range(2):
        run()
    with database.begin() as connection:
        connection.execute(update(policies).where(policies.c.id == 1).values(artefact='{"version": 1}'))
    refused = run("use", 1)
    assert (refused.exit_code, "no gateway could use version 1" in refused.output) == (1, True)
    assert PolicyShelf(database).in_use() == {"objects": 2}


def test_a_fit_that_is_worse_on_the_latest_records_is_refused_and_the_policy_in_use_stays(run, database, tmp_path):
    file = tmp_path / "good.jsonl"
    file.write_text("\n".join(record_of(k).to_line() for k in range(100)))
    assert run("--records", file).exit_code == 0
    before = PolicyShelf(database).in_use()
    misleading = []
    for k in range(400):  # a truth that is nowhere, until the world is itself again
        row = record_of(k).to_json()
        if k < 320:
            row["truth"] = row["answers"]["local"]["found"]
            row["answers"]["rekognition"]["found"] = [{"label": "cat", "confidence": 0.9, "box": [0.8, 0.8, 0.9, 0.9]}]
        misleading.append(json.dumps(row))
    file.write_text("\n".join(misleading))
    said = run("--records", file)
    assert said.exit_code == 1
    assert "refused" in said.output
    assert PolicyShelf(database).in_use() == before


def test_with_nothing_to_learn_from_it_says_so(run):
    said = run()
    assert said.exit_code == 1
    assert "nothing can be learned" in said.output


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("records", [1, 2, 9, 10, 13, 30])
def test_with_a_handful_of_records_it_learns_or_says_so(run, database, records, told):
    write(database, (replace(record_of(k), truth=record_of(k).truth if told else None) for k in range(records)))
    said = run()
    assert said.exit_code == 0 or "nothing can be learned" in said.output, said.exception
    if records < 10:
        assert f"there are {records} records of objects" in said.output


def test_recorded_csv_needs_prices(run, tmp_path):
    file = tmp_path / "Toy.csv"
    file.write_text("true_label,label_a,label_b\n" + "x,x,y\n" * 60)
    assert "--prices" in run("--records", file).output
    (tmp_path / "prices.json").write_text('{"Toy": {"apis": {"a": {"usd_per_call": 0.001}, "b": {"usd_per_call": 0.0}}}}')
    assert run("--records", file, "--prices", tmp_path / "prices.json").exit_code == 0


@pytest.mark.parametrize("budget", ["much", "-1", "1e3"])
def test_a_budget_that_is_no_amount_is_refused_in_a_line(run, database, budget):
    write(database, (record_of(k) for k in range(20)))
    said = run("--budget", budget)
    assert (said.exit_code, "--budget" in said.output) == (2, True)


def test_records_of_another_form_or_without_a_provider_of_before_are_learned_from_too(run, tmp_path):
    boxed = [record_of(k).to_json() for k in range(60)]
    named = [{"answers": {p: {"labels": [{"label": "dog", "confidence": 0.9}]} for p in row["answers"]}, "truth": ["dog"]} for row in boxed]
    alone = [{**row, "answers": {"local": row["answers"]["local"]}} for row in boxed]
    prices = tmp_path / "prices.json"
    prices.write_text('{"R": {"apis": {"local": {"usd_per_call": 0}, "rekognition": {"usd_per_call": 0.001}}}}')
    for rows in (boxed, named, alone, boxed):
        (tmp_path / "R.jsonl").write_text("\n".join(map(json.dumps, rows)))
        said = run("--records", tmp_path / "R.jsonl", "--prices", prices)
        assert said.exit_code == 0 or said.output.startswith("Error: refused"), said.exception
