import pytest

from tests.conftest import PHOTOS
from tests.gateway.apps import admin_of, app_of

PHOTO = (PHOTOS / "000000000471.jpg").read_bytes()
BOX = {"label": "bus", "x_min": 0.1, "y_min": 0.2, "x_max": 0.9, "y_max": 0.8}


@pytest.fixture
def answer(client):
    return client.post("/v1/detections?cache=refresh&deadline_ms=60000", data=PHOTO, content_type="image/jpeg").json


def test_an_answer_can_be_had_again_as_it_was_and_without_the_picture(client, answer):
    again = client.get(f"/v1/detections/{answer['id']}")
    assert (again.status_code, again.json) == (200, answer)


def test_a_kept_answer_has_an_id_of_its_own_and_can_be_judged_too(tmp_path):
    app = app_of(tmp_path, GATEWAY_CACHE_TTL_S="60")
    client = admin_of(app)
    first, kept = (client.post("/v1/detections?deadline_ms=60000", data=PHOTO, content_type="image/jpeg").json for _ in range(2))
    assert (kept["cache"], kept["id"] != first["id"]) == ("hit", True)
    assert client.get(f"/v1/detections/{kept['id']}").json == kept
    assert client.post(f"/v1/detections/{kept['id']}/feedback", json={"verdict": "correct"}).json["records"] == 1
    (record,) = app.extensions["gateway"].comparisons.of_request(kept["id"])
    assert record.replies["local"].verdict == "correct"
    app.extensions["gateway"].close()


def test_another_clients_answer_is_not_there(app, client, answer):
    other = client.post("/v1/keys", json={"name": "other-client", "role": "app"}).json["key"]
    for method, address in (("GET", answer["id"]), ("POST", f"{answer['id']}/feedback")):
        response = app.test_client().open(
            f"/v1/detections/{address}", method=method, json={"verdict": "wrong"}, headers={"Authorization": f"Bearer {other}"}
        )
        assert (response.status_code, response.json["code"]) == (404, "not_found")


def test_feedback_becomes_part_of_a_comparison_record_and_is_shown_with_the_answer(app, client, answer):
    said = {"verdict": "wrong", "boxes": [BOX]}
    response = client.post(f"/v1/detections/{answer['id']}/feedback", json=said)
    assert (response.status_code, response.json) == (200, {"id": answer["id"], "verdict": "wrong", "records": 1})
    (record,) = app.extensions["gateway"].comparisons.of_request(answer["id"])
    assert (record.origin, record.digest, record.feature) == ("feedback", answer["image"]["digest"], "objects")
    assert record.replies["local"].verdict == "wrong"
    assert [one.label for one in record.replies["local"].found] == [one["label"] for one in answer["detections"]]
    assert [(one.label, one.box) for one in record.truth] == [("bus", (0.1, 0.2, 0.9, 0.8))]
    assert client.get(f"/v1/detections/{answer['id']}").json == answer | {"feedback": said}


def test_a_second_verdict_replaces_the_first(app, client, answer):
    for verdict in ("wrong", "correct"):
        client.post(f"/v1/detections/{answer['id']}/feedback", json={"verdict": verdict})
    (record,) = app.extensions["gateway"].comparisons.of_request(answer["id"])
    assert record.replies["local"].verdict == "correct"
    assert client.get(f"/v1/detections/{answer['id']}").json["feedback"] == {"verdict": "correct"}


@pytest.mark.parametrize(
    ("said", "parameter"),
    [
        ({}, "verdict"),
        ({"verdict": "maybe"}, "verdict"),
        ({"verdict": "wrong", "boxes": [BOX | {"x_max": 1.5}]}, "boxes.0.x_max"),
        ({"verdict": "wrong", "boxes": [BOX | {"x_min": 0.95}]}, "boxes"),
        ({"verdict": "wrong", "boxes": [BOX] * 301}, "boxes"),
        ({"verdict": "wrong", "mood": "bad"}, "mood"),
    ],
)
def test_feedback_that_can_not_be_is_refused(client, answer, said, parameter):
    response = client.post(f"/v1/detections/{answer['id']}/feedback", json=said)
    assert (response.status_code, response.json["parameter"]) == (422, parameter)


def test_a_dry_run_leaves_no_answer_behind(client):
    quote = client.post("/v1/detections?dry_run=true", data=PHOTO, content_type="image/jpeg").json
    assert client.get(f"/v1/detections/{quote['id']}").status_code == 404
