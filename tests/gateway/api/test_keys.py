import pytest

from tests.gateway.toys import jpeg


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
        ({"name": "x", "role": "app", "tags": {f"t{n}": "x" for n in range(17)}}, "tags"),
        ({"name": "x", "role": "app", "tags": {"n" * 65: "x"}}, f"tags.{'n' * 64}…"),
        ([], "body"),
    ],
)
def test_what_is_wrong_with_a_key_is_named(client, body, parameter):
    response = client.post("/v1/keys", json=body)
    assert (response.status_code, response.json["parameter"]) == (422, parameter)


def test_a_key_over_its_limit_is_told_when_to_come_back(client, app):
    limited = client.post("/v1/keys", json={"name": "limited", "role": "app", "rate_limit": {"requests_per_s": 2, "pixels_per_s": 10**9}})
    assert limited.json["rate_limit"] == {"requests_per_s": 2, "pixels_per_s": 10**9}
    headers = {"Authorization": f"Bearer {limited.json['key']}"}
    answers = [app.test_client().get("/v1/providers", headers=headers) for _ in range(30)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert {answer.status_code for answer in answers} == {200, 429}
    assert refused[0].json["code"] == "rate_limited"
    assert (refused[0].json["limit"], refused[0].json["unit"]) == (2, "requests_per_s")
    assert int(refused[0].headers["Retry-After"]) >= 1
    (shown,) = [key for key in client.get("/v1/keys").json["keys"] if key["name"] == "limited"]
    assert shown["rate_limit"] == {"requests_per_s": 2, "pixels_per_s": 10**9}


def test_pixels_have_a_limit_of_their_own(client, app):
    made = client.post("/v1/keys", json={"name": "few pixels", "role": "app", "rate_limit": {"pixels_per_s": 5_000}})
    headers = {"Authorization": f"Bearer {made.json['key']}"}
    picture = jpeg(64, 48)
    answers = [
        app.test_client().post("/v1/detections?dry_run=true", data=picture, content_type="image/jpeg", headers=headers) for _ in range(30)
    ]
    assert {answer.status_code for answer in answers} == {200, 429}
    assert {answer.json["unit"] for answer in answers if answer.status_code == 429} == {"pixels_per_s"}


def test_a_limit_of_nothing_is_refused(client):
    for limit in ({"requests_per_s": 0}, {"pixels_per_s": -1}, {"requests": 5}):
        answer = client.post("/v1/keys", json={"name": "bad", "role": "app", "rate_limit": limit})
        assert (answer.status_code, answer.json["code"]) == (422, "invalid_parameter")
