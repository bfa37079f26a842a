import re

import pytest


@pytest.mark.parametrize(
    ("method", "address"),
    [
        ("GET", "/v1/budgets/none"),
        ("DELETE", "/v1/budgets/none"),
        ("GET", "/v1/experiments/none"),
        ("GET", "/v1/experiments/none/report"),
        ("POST", "/v1/experiments/none/start"),
        ("DELETE", "/v1/keys/none"),
        ("GET", "/v1/costs/reconciliations/none"),
        ("POST", "/v1/costs/reconciliations/none/accept"),
    ],
)
def test_who_names_what_there_is_not_is_told_where_all_are(client, method, address):
    response = client.open(address, method=method)
    assert (response.status_code, response.json["code"]) == (404, "not_found")
    assert "none" in response.json["detail"]
    assert client.get(re.search(r"GET (\S+) lists them\.$", response.json["detail"]).group(1)).status_code == 200
