def test_liveness_says_ok(stranger):
    response = stranger.get("/healthz")
    assert (response.status_code, response.json) == (200, {"status": "ok"})


def test_readiness_names_each_dependency(client, stranger):
    client.post("/v1/detections", data=b"x", content_type="image/jpeg")
    response = stranger.get("/readyz")
    assert response.status_code == 200
    assert response.json["status"] == "ready"
    assert set(response.json["dependencies"]) == {"database", "local"}
