"""Adding a provider is adding a module and a data file: nothing else in the gateway changes, and everything in it works for the new one."""

import sys
from pathlib import Path

import pytest

import providers
from gateway.settings import BadSettings
from providers import registry
from tests.gateway.apps import admin_of, app_of
from tests.gateway.toys import jpeg

FOURTH = Path(__file__).parent.parent / "providers" / "fourth"


@pytest.fixture
def environ(monkeypatch):
    monkeypatch.setattr(providers, "__path__", [*providers.__path__, str(FOURTH)])
    registry.names.cache_clear()
    yield {"GATEWAY_PROVIDERS": "toy,local", "GATEWAY_PRICES": str(FOURTH / "toy.toml")}
    registry.names.cache_clear()
    sys.modules.pop("providers.toy", None)


def test_it_answers_is_priced_budgeted_and_reported(environ, tmp_path):
    app = app_of(tmp_path, **environ)
    client = admin_of(app)
    client.put("/v1/budgets/toy", json={"scope": {"provider": "toy"}, "period": "day", "limit_usd": "0.001"})
    answers = [client.post("/v1/detections", data=jpeg(), content_type="image/jpeg").json for _ in range(2)]
    assert [(answer["provider"], answer["cost_usd"]) for answer in answers] == [("toy", "0.0007"), ("local", "0")]
    assert answers[0]["detections"][0]["provider_label"] == "Katze"
    listed = client.get("/v1/providers").json["providers"][0]
    assert (listed["name"], listed["prices"][0]["usd"], listed["prices"][0]["source"]) == ("toy", "0.0007", "made up")
    rows = client.get("/v1/costs").json["rows"]
    assert ("toy", "0.0007") in {(row["provider"], row["cost_usd"]) for row in rows}
    app.extensions["gateway"].close()


def test_without_its_data_file_it_is_not_asked_and_says_why(environ, tmp_path):
    del environ["GATEWAY_PRICES"]
    app = app_of(tmp_path, **environ)
    answer = admin_of(app).post("/v1/detections?providers=toy", data=jpeg(), content_type="image/jpeg")
    assert (answer.status_code, answer.json["code"]) == (503, "no_provider_available")
    assert answer.json["providers"] == {"toy": "unpriced: no price sheet"}
    app.extensions["gateway"].close()


def test_a_data_file_that_is_wrong_stops_the_start_and_says_where(environ, tmp_path):
    sheet = tmp_path / "toy.toml"
    sheet.write_text((FOURTH / "toy.toml").read_text().replace('"0.70"', '"0.7000000001"'))
    environ["GATEWAY_PRICES"] = str(sheet)
    with pytest.raises(BadSettings, match=r"toy\.toml: toy\.price\[0\]\.tiers\[0\]\.usd_per_1000"):
        app_of(tmp_path, **environ)
