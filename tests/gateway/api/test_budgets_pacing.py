def test_a_paced_budget_tells_its_multiplier_and_one_that_is_not_paced_has_none(client):
    budget = {"limit_usd": "10.00", "period": "month", "scope": {"tag": "purpose:pacing-test"}}
    paced = client.put("/v1/budgets/paced", json=budget | {"pacing": True})
    assert paced.json["multiplier"] >= 0.0
    assert "multiplier" not in client.put("/v1/budgets/plain", json=budget).json
    listed = {one["name"]: one for one in client.get("/v1/budgets").json["budgets"]}
    assert "multiplier" in listed["paced"]
    for name in ("paced", "plain"):
        assert client.delete(f"/v1/budgets/{name}").status_code == 204
