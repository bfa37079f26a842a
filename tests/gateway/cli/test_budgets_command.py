import json

import pytest
from click.testing import CliRunner

from gateway.cli import main


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("GATEWAY_DATABASE_URL", f"sqlite:///{tmp_path}/gateway.db")
    monkeypatch.setenv("GATEWAY_SPOOL", str(tmp_path / "spool"))
    return lambda *arguments: CliRunner().invoke(main, ["budgets", *arguments])


def test_a_budget_is_set_changed_listed_and_ended(run):
    terms = ("--scope", "tag", "team:shop", "--timezone", "Europe/Berlin", "--alert-at", "0.95", "--alert-at", "0.8")
    assert run("set", "shop", "--limit", "50.00", *terms).stdout == "The budget shop is in force.\n"
    assert run("set", "shop", "--limit", "60", *terms, "--when-exhausted", "reject", "--pacing").exit_code == 0
    assert run("set", "all", "--limit", "100", "--period", "day").exit_code == 0
    everybodys, shops = json.loads(run("list", "--json").stdout)
    assert (everybodys["name"], everybodys["scope"], everybodys["period"], everybodys["limit_usd"]) == ("all", {}, "day", "100")
    assert (shops["scope"], shops["limit_usd"], shops["when_exhausted"], shops["pacing"]) == ({"tag": "team:shop"}, "60", "reject", True)
    assert shops["alert_at"] == [0.8, 0.95]
    heads, first, second = (line.split() for line in run("list").stdout.splitlines())
    assert first == ["all", "everybody", "day", "degrade", "100", "0", "0", "0", "100"]
    assert second[:3] == ["shop", "tag", "team:shop"]
    assert len(first) == len(heads)
    assert run("end", "shop").stdout == "The budget shop has ended.\n"
    assert [one["name"] for one in json.loads(run("list", "--json").stdout)] == ["all"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("set", "x", "--limit", "1,5"), "--limit"),
        (("set", "x", "--limit", "5", "--alert-at", "most"), "--alert-at"),
        (("set", "x", "--limit", "5", "--alert-at", "80"), "alert_at"),
        (("set", "x", "--limit", "5", "--timezone", "Mars/Olympus"), "timezone"),
        (("set", "x", "--limit", "5", "--scope", "tag", "shop"), "scope"),
        (("set", "x", "--limit", "5", "--period", "lifetime"), "--period"),
        (("set", "a b", "--limit", "5"), "name"),
        (("end", "x"), "no budget 'x'"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_set(run, arguments, said):
    result = run(*arguments)
    assert result.exit_code != 0
    assert said in result.output
    assert "Traceback" not in result.output
    assert json.loads(run("list", "--json").stdout) == []
