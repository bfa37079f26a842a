from tests.waiting import until


def test_liveness_says_ok(stranger):
    response = stranger.get("/healthz")
    assert (response.status_code, response.json) == (200, {"status": "ok"})


def test_readiness_names_each_dependency(stranger):
    until(lambda: stranger.get("/readyz").status_code == 200)  # the model is loaded behind the first requests
    response = stranger.get("/readyz")
    assert response.json["status"] == "ready"
    assert set(response.json["dependencies"]) == {"database", "ledger", "local"}
