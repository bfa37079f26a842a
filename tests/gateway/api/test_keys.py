import pytest


def test_a_key_is_made_listed_used_and_revoked(client, stranger):
    made = client.post("/v1/keys", json={"name": "till 7", "role": "app", "tags": {"shop": "berlin"}})
    assert made.status_code == 201
    token = made.json["key"]
    assert stranger.get("/v1/providers", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    listed = client.get("/v1/keys")
    assert [one["tags"] for one in listed.json["keys"] if one["name"] == "till 7"] == [{"shop": "berlin"}]
    assert token not in listed.text
    assert client.delete("/v1/keys/till 7").status_code == 204
    assert stranger.get("/v1/providers", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    assert client.delete("/v1/keys/till 7").status_code == 404


def test_a_name_in_use_is_a_conflict(client):
    client.post("/v1/keys", json={"name": "twice", "role": "app"})
    again = client.post("/v1/keys", json={"name": "twice", "role": "app"})
    assert (again.status_code, again.json["code"]) == (409, "conflict")


@pytest.mark.parametrize(
    ("body", "parameter"),
    [
        ({"name": "x"}, "role"),
        ({"name": "x", "role": "god"}, "role"),
        ({"name": "", "role": "app"}, "name"),
        ({"name": "=cmd()", "role": "app"}, "name"),
        ({"name": "x", "role": "app", "secret": "mine"}, "secret"),
        ({"name": "x", "role": "app", "tags": {"a": 1}}, "tags.a"),
        ([], "body"),
    ],
)
def test_what_is_wrong_with_a_key_is_named(client, body, parameter):
    response = client.post("/v1/keys", json=body)
    assert (response.status_code, response.json["parameter"]) == (422, parameter)
