import json
import re

import pytest

WHOLE = {
    "scope": {"tag": "team:shop"},
    "period": "day",
    "timezone": "Australia/Lord_Howe",
    "limit_usd": "50",
    "when_exhausted": "reject",
    "pacing": True,
    "alert_at": [0.8, 0.95],
}
UNSPENT = {"settled_usd": "0", "reserved_usd": "0", "unknown_usd": "0", "remaining_usd": "50", "forecast_usd": "0"}


@pytest.fixture(autouse=True)
def no_budgets(client):
    _end_all(client)  # of an experiment, where other tests came first
    yield
    _end_all(client)


def _end_all(client):
    for budget in client.get("/v1/budgets").json["budgets"]:
        assert client.delete(f"/v1/budgets/{budget['name']}").status_code == 204


def test_a_budget_is_put_shown_listed_and_ended(client):
    put = client.put("/v1/budgets/shop", json=WHOLE | {"limit_usd": "50.00"})
    shown = client.get("/v1/budgets/shop")
    assert (put.status_code, put.json) == (200, shown.json)
    budget = dict(shown.json)
    assert set(budget.pop("window")) == {"starts_at", "ends_at"}
    assert budget.pop("multiplier") == 0.0, "a paced budget that has seen no traffic asks for nothing yet"
    assert budget == {"name": "shop", **WHOLE, **UNSPENT}
    assert [budget["name"] for budget in client.get("/v1/budgets").json["budgets"]] == ["shop"]
    assert client.delete("/v1/budgets/shop").status_code == 204
    assert client.delete("/v1/budgets/shop").status_code == client.get("/v1/budgets/shop").status_code == 404


def test_a_paced_budget_that_is_changed_paces_by_its_new_limit_at_once(client):
    multipliers = [
        client.put("/v1/budgets/shop", json=WHOLE | {"limit_usd": limit}).json["multiplier"] for limit in ("50", "0.000001", "50")
    ]
    assert multipliers[0] == multipliers[2] == 0.0 < multipliers[1]


def test_what_is_left_out_has_its_default(client):
    budget = client.put("/v1/budgets/all", json={"limit_usd": "0.000000001"}).json
    given = (budget["scope"], budget["period"], budget["timezone"], budget["when_exhausted"], budget["pacing"], budget["alert_at"])
    assert given == ({}, "month", "UTC", "degrade", False, [])


def test_a_threshold_that_is_written_in_two_ways_is_one(client):
    assert client.put("/v1/budgets/all", json={"limit_usd": "1", "alert_at": ["0.80", 0.95, 0.8]}).json["alert_at"] == [0.8, 0.95]


MISTAKES = {
    "limit_usd": [None, "-1", "1e3", "0.0000000001", "99999999999", "NaN", True],
    "period": ["year", 1],
    "timezone": ["Mars/Olympus", "../etc/passwd", "", 5],
    "when_exhausted": ["explode"],
    "pacing": ["maybe"],
    "alert_at": [[0], [1.5], ["x"], ["NaN"], [True], 0.8, [0.12345678901234567], [0.5] * 11],
    "scope": [
        "global",
        None,
        {"provider": "rekognition", "client": "shop"},
        {"provider": ""},
        {"tag": "no colon"},
        {"tag": "a:b,c"},
        {"tag": ":v"},
        {"tag": "k:" + "v" * 129},
        {"client": "c" * 300},
        {"client": "c\0"},
    ],
    "scope.team": [{"team": "shop"}],
    "colour": ["red"],
}


@pytest.mark.parametrize(
    ("parameter", "value"),
    [(parameter, value) for parameter, values in MISTAKES.items() for value in values],
    ids=lambda value: json.dumps(value)[:30],
)
def test_a_mistake_is_named_in_plain_words(client, parameter, value):
    response = client.put("/v1/budgets/b", json={"limit_usd": "1", parameter.partition(".")[0]: value})
    assert (response.status_code, response.json["parameter"]) == (422, parameter)
    assert parameter in response.json["detail"]
    assert not re.search("Input|Extra|instance|dictionary|Decimal|permitted", response.json["detail"])
    assert client.get("/v1/budgets/b").status_code == 404


@pytest.mark.parametrize("name", ["a b", "x" * 65, ".x", "%00"])
def test_a_name_is_plain(client, name):
    response = client.put(f"/v1/budgets/{name}", json={"limit_usd": "1"})
    assert (response.status_code, response.json["parameter"]) == (422, "name")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"limit_usd=1", b'{"limit_usd":"1","limit_usd":"2"}'])
def test_what_is_no_object_is_no_budget(client, body):
    response = client.put("/v1/budgets/b", data=body, content_type="application/json")
    assert (response.status_code, response.json["code"]) == (422, "invalid_parameter")


def test_without_a_limit_there_is_no_budget(client):
    assert client.put("/v1/budgets/b", json={}).json["detail"] == "limit_usd: it is missing."


def test_a_key_of_an_application_sees_no_money(client, stranger):
    token = client.post("/v1/keys", json={"name": "till of budgets", "role": "app"}).json["key"]
    headers = {"Authorization": f"Bearer {token}"}
    assert stranger.get("/v1/budgets", headers=headers).status_code == 403
    assert stranger.put("/v1/budgets/b", json={"limit_usd": "1"}, headers=headers).status_code == 403
    assert stranger.get("/v1/budgets").status_code == 401
