from tests.conftest import PHOTOS


def test_enabled_providers_come_first_and_the_others_say_how_to_enable_them(client):
    providers = client.get("/v1/providers").json["providers"]
    local = providers[0]
    assert (local["name"], local["enabled"], local["ready"], local["features"]) == ("local", True, True, ["objects"])
    assert all("GATEWAY_PROVIDERS" in one["detail"] for one in providers[1:])
    assert not any(one["enabled"] for one in providers[1:])


def test_speed_and_circuit_are_told_once_a_provider_was_asked(client):
    client.post("/v1/detections", data=(PHOTOS / "000000000471.jpg").read_bytes(), content_type="image/jpeg")
    local = client.get("/v1/providers").json["providers"][0]
    assert local["circuit"] == [{"feature": "objects", "state": "closed", "reason": ""}]
    assert local["latency_ms"][0]["p95"] >= local["latency_ms"][0]["p50"] > 0
