"""What the console script says: its help in whole sentences, and of each mistake what to do, without a traceback."""

import click
import pytest
from click.testing import CliRunner

from gateway.cli import main


def groups():
    yield main
    for name in main.list_commands(None):
        command = main.get_command(None, name)
        if isinstance(command, click.Group):
            yield command


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GATEWAY_DATABASE_URL", f"sqlite:///{tmp_path}/gateway.db")
    monkeypatch.setenv("GATEWAY_SPOOL", str(tmp_path / "spool"))
    (tmp_path / "half.json").write_text("{\n")
    (tmp_path / "other.json").write_text('{"a": 1}\n')
    return lambda *arguments: CliRunner().invoke(main, arguments)


@pytest.mark.parametrize("group", list(groups()), ids=lambda group: group.name)
def test_no_sentence_of_a_help_is_cut(group):
    said = CliRunner().invoke(group, ["--help"]).output
    assert "Commands:" in said
    assert "..." not in said.partition("Commands:")[2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("keys", "create", "a/b"), "name: 1 to 64 of letters, digits"),
        (("keys", "create", ""), "name: 1 to 64 of letters, digits"),
        (("keys", "create", "x", "--tag", "team"), "write each tag as KEY:VALUE"),
        (("keys", "create", "x", "--tag", "a:b", "--tag", "a:c"), "a tag is given twice"),
        (("keys", "create", "x", "--tag", "a:b,c"), "neither has a colon or comma"),
        (("keys", "revoke", "x"), "`vision-gateway keys list` shows them"),
        (("report", "--from", "2026-12-01", "--to", "2026-11-01"), "2026-11-01 is before --from, 2026-12-01"),
        (("records", "export", "nowhere/x.jsonl"), "nowhere/x.jsonl: No such file or directory"),
        (("records", "import", "half.json"), "half.json, line 1: not JSON: Expecting property name"),
        (("records", "import", "other.json"), "other.json, line 1: not a comparison record: there is no 'origin'"),
        (("tune",), "nothing can be learned: no comparison record in it"),
        (("tune", "--records", "half.json"), "not a comparison record: Expecting property name"),
    ],
)
def test_a_mistake_is_told_in_words(run, arguments, said):
    result = run(*arguments)
    assert result.exit_code in (1, 2)
    assert isinstance(result.exception, SystemExit), "not a traceback"
    assert said in result.output


@pytest.mark.parametrize("arguments", [("records", "count"), ("tune", "list"), ("canary", "status")])
def test_where_there_is_nothing_it_is_said_what_makes_it(run, arguments):
    said = run(*arguments).stdout
    assert said.count("\n") == 1
    assert "`vision-gateway " in said
