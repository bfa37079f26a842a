import pytest

from tests.conftest import PHOTOS
from tests.gateway.apps import NOBODY, admin_of, app_of
from tests.waiting import until


@pytest.fixture
def clouds_client(tmp_path):
    app = app_of(tmp_path, GATEWAY_PROVIDERS="rekognition,google_vision", AWS_REGION="us-east-1", **NOBODY)
    yield admin_of(app)
    app.extensions["gateway"].close()


def test_enabled_providers_come_first_and_the_others_say_how_to_enable_them(client):
    until(lambda: client.get("/v1/providers").json["providers"][0]["ready"])  # the model is being loaded
    local, *others = client.get("/v1/providers").json["providers"]
    assert (local["name"], local["enabled"], local["ready"], local["features"]) == ("local", True, True, ["objects"])
    assert all("GATEWAY_PROVIDERS" in one["detail"] for one in others)
    assert not any(one["enabled"] for one in others)


def test_speed_and_circuit_are_told_once_a_provider_was_asked(client):
    client.post("/v1/detections", data=(PHOTOS / "000000000471.jpg").read_bytes(), content_type="image/jpeg")
    local = client.get("/v1/providers").json["providers"][0]
    assert local["circuit"] == [{"feature": "objects", "state": "closed", "reason": ""}]
    assert local["latency_ms"][0]["p95"] >= local["latency_ms"][0]["p50"] > 0


def test_a_circuit_that_nothing_was_sent_through_is_told_too(clouds_client):
    for one in clouds_client.get("/v1/providers").json["providers"]:
        assert [circuit["feature"] for circuit in one["circuit"]] == one["features"]
        assert {circuit["state"] for circuit in one["circuit"]} <= {"closed"}
