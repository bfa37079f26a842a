import json

import pytest
from click.testing import CliRunner

from gateway.cli import main


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("GATEWAY_DATABASE_URL", f"sqlite:///{tmp_path}/gateway.db")
    return lambda *arguments: CliRunner().invoke(main, ["keys", *arguments])


def test_keys_are_listed_with_what_they_carry_and_may_send_and_revoked(run):
    limits = ("--requests-per-s", "5", "--pixels-per-s", "2000000")
    token = run("create", "shop", "--tag", "team:shop", "--tag", "site:berlin", *limits).stdout.strip()
    assert run("create", "anna", "--role", "finance").exit_code == 0
    heads, shop, anna = run("list").stdout.splitlines()
    assert heads.split() == ["id", "role", "name", "tags", "limits"]
    assert shop.split() == [token.split("_")[1], "app", "shop", "team:shop", "site:berlin", "5", "requests/s,", "2,000,000", "pixels/s"]
    assert anna.split()[1:] == ["finance", "anna"]
    first, second = json.loads(run("list", "--json").stdout)
    assert (first["name"], first["role"], first["tags"]) == ("shop", "app", {"team": "shop", "site": "berlin"})
    assert first["rate_limit"] == {"requests_per_s": 5, "pixels_per_s": 2_000_000}
    assert "rate_limit" not in second
    assert first["created_at"].endswith("Z")
    assert run("revoke", "shop").stdout == "shop is revoked.\n"
    assert [one["name"] for one in json.loads(run("list", "--json").stdout)] == ["anna"]
