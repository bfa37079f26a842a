"""Experiments over HTTP, on the whole gateway with the in-house model."""

import pytest

from tests.conftest import PHOTOS
from tests.processes import ROOT
from tests.waiting import until

PHOTO = (PHOTOS / "000000000471.jpg").read_bytes()
ARMS = [{"name": "model", "providers": ["local"]}, {"name": "cheap", "strategy": "cheapest"}]


@pytest.fixture
def made(app, client, request):
    """Makes experiments under names of their own, and stops them at the end."""
    until(lambda: app.extensions["gateway"].dispatcher.lines["local"].provider.health().ready)
    names = []

    def make(**asked):
        name = f"{request.node.name[5:40].replace('[', '-').rstrip('_')}-{len(names)}"
        response = client.post("/v1/experiments", json={"name": name, "mode": "paired", "arms": ARMS} | asked)
        names.append(name)
        return response

    yield make
    for name in names:
        client.post(f"/v1/experiments/{name}/stop")


def settle(app):
    assert app.extensions["gateway"].live.off_path.idle(60)
    app.extensions["gateway"].live.refresh()


def test_an_experiment_is_made_runs_reports_and_is_stopped(app, client, made):
    experiment = made(unit="subject", reference="none").json
    name = experiment["name"]
    assert (experiment["state"], experiment["pictures"], experiment["arms"][0]["weight"]) == ("running", 0, 1.0)
    assert name in [one["name"] for one in client.get("/v1/experiments").json["experiments"]]
    assert client.post("/v1/detections?subject=ann", data=PHOTO, content_type="image/jpeg").status_code == 200
    settle(app)
    report = client.get(f"/v1/experiments/{name}/report").json
    assert (report["pictures"], report["verdict"]["kind"], report["held_against"]) == (1, "unknown", "each_other")
    assert report["comparisons"][0]["agreement"]["value"] == 1.0
    assert report["arms"]["model"]["cost_usd"] == "0"
    stopped = client.post(f"/v1/experiments/{name}/stop").json
    assert (stopped["state"], stopped["stopped_because"]) == ("stopped", "bootstrap stopped it")
    assert client.post(f"/v1/experiments/{name}/start").status_code == 409


def test_verdicts_and_truths_move_the_report(app, client, made):
    name = made().json["name"]
    digest = client.post("/v1/detections", data=PHOTO, content_type="image/jpeg").json["image"]["digest"]
    settle(app)
    assert client.put(f"/v1/experiments/{name}/verdicts/{digest}", json={"right": ["cheap"]}).status_code == 204
    report = client.get(f"/v1/experiments/{name}/report").json
    assert report["people"] == 1
    assert [report["arms"][arm]["metrics"]["people"]["value"] for arm in ("model", "cheap")] == [0.0, 1.0]
    bus = {"label": "bus", "box": {"x_min": 0.185, "y_min": 0.252, "x_max": 0.886, "y_max": 0.752}}
    assert client.put(f"/v1/experiments/{name}/truths/{digest}", json={"things": [bus]}).status_code == 204
    report = client.get(f"/v1/experiments/{name}/report").json
    assert (report["held_against"], report["quality"]) == ("truth", "f1")
    assert report["arms"]["model"]["labels"]["bus"] == {"right": 1, "wrong": 0, "missed": 0}
    assert report["arms"]["model"]["average_precision"]["ap50"] > 0.9
    assert client.put(f"/v1/experiments/{name}/verdicts/{digest}", json={"right": None}).status_code == 204
    assert client.get(f"/v1/experiments/{name}/report").json["people"] == 0


def test_a_draft_may_be_sent_again_and_a_started_one_not(client, made):
    name = made(start=False).json["name"]
    assert client.get(f"/v1/experiments/{name}").json["state"] == "draft"
    again = {"name": name, "mode": "split", "arms": ARMS, "start": False}
    assert client.post("/v1/experiments", json=again).json["mode"] == "split"
    assert client.post(f"/v1/experiments/{name}/start").json["state"] == "running"
    problem = client.post("/v1/experiments", json=again)
    assert (problem.status_code, problem.json["code"]) == (409, "conflict")


@pytest.mark.parametrize(
    ("asked", "parameter"),
    [
        ({"mode": "both"}, "mode"),
        ({"arms": ARMS[:1]}, "arms"),
        ({"arms": [ARMS[0], ARMS[0]]}, "arms"),
        ({"arms": [ARMS[0], {"name": "b", "providers": ["nobody"]}]}, "arms"),
        ({"arms": [ARMS[0], {"name": "b", "weight": -1}]}, "arms.1.weight"),
        ({"sample_rate": 0}, "sample_rate"),
        ({"budget_usd": "-1"}, "budget_usd"),
        ({"features": ["smells"]}, "features"),
        ({"features": ["text"]}, "arms"),
        ({"reference": "rekognition"}, "reference"),
        ({"stop": {"never": True}}, "stop.never"),
        ({"colour": "red"}, "colour"),
        ({"name": "../x"}, "name"),
    ],
)
def test_what_can_not_be_is_refused_by_its_name(made, asked, parameter):
    response = made(**asked)
    assert (response.status_code, response.json["code"], response.json["parameter"]) == (422, "invalid_parameter", parameter)


def test_what_is_not_there_is_not_found(client):
    digest = "0" * 64
    assert client.get("/v1/experiments/none").status_code == 404
    assert client.get("/v1/experiments/none/report").status_code == 404
    assert client.post("/v1/experiments/none/stop").status_code == 404
    assert client.put(f"/v1/experiments/none/verdicts/{digest}", json={"right": []}).status_code == 404
    assert client.delete(f"/v1/pictures/{digest}").status_code == 404


def test_verdicts_name_arms_and_pictures_that_there_are(app, client, made):
    name = made().json["name"]
    digest = client.post("/v1/detections", data=PHOTO, content_type="image/jpeg").json["image"]["digest"]
    settle(app)
    assert client.put(f"/v1/experiments/{name}/verdicts/{digest}", json={"right": ["nobody"]}).json["parameter"] == "right"
    assert client.put(f"/v1/experiments/{name}/verdicts/{'0' * 64}", json={"right": []}).status_code == 404


def test_the_gateways_own_tags_are_not_a_clients(client):
    response = client.post("/v1/detections?tags=gateway.experiment:trial", data=PHOTO, content_type="image/jpeg")
    assert (response.status_code, response.json["parameter"]) == (422, "tags")


def test_the_api_needs_a_key(stranger):
    assert stranger.get("/v1/experiments").status_code == 401
    assert (ROOT / "README.md").read_text(encoding="utf-8").count("/v1/experiments") >= 1
