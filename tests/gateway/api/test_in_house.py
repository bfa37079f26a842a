import time
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from cost.in_house import machine_price
from cost.money import Money
from tests.conftest import PHOTOS
from tests.gateway.apps import admin_of, app_of

PHOTO = (PHOTOS / "000000000471.jpg").read_bytes()


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    app = app_of(
        tmp_path_factory.mktemp("in_house"),
        GATEWAY_PROVIDERS="local,rekognition",
        GATEWAY_LOCAL_MODEL_USD_PER_HOUR="36",
        AWS_REGION="eu-west-1",
        AWS_ACCESS_KEY_ID="nobody",
        AWS_SECRET_ACCESS_KEY="nothing",
    )
    yield admin_of(app)
    app.extensions["gateway"].close()


def report(client, query=""):
    return client.get(f"/v1/costs/in-house{query}")


def test_before_the_first_answer_no_hour_counts(client):
    told = report(client).json
    assert (told["pictures"], told["hours"], told["machine_usd"]) == (0, 0, "0")
    assert "usd_per_picture" not in told
    assert told["usd_per_hour"] == "36"


def test_the_machines_hours_are_imputed_to_pictures_or_idle(client):
    for _ in range(3):
        query = {"providers": "local", "cache": "off", "deadline_ms": "60000"}
        assert client.post("/v1/detections", data=PHOTO, content_type="image/jpeg", query_string=query).status_code == 200
    give_up_at = time.monotonic() + 30
    while (told := report(client).json)["pictures"] < 3:  # usage is written in batches
        assert time.monotonic() < give_up_at
        time.sleep(0.05)
    today = datetime.now(UTC).date()
    rows = client.get(f"/v1/costs?from={today}&group_by=provider").json["rows"]
    assert told["pictures"] == 3
    assert told["imputed_usd"] == next(row["imputed_usd"] for row in rows if row["provider"] == "local")
    assert Money.usd(told["imputed_usd"]) + Money.usd(told["idle_usd"]) == Money.usd(told["machine_usd"])
    assert 0 < Money.usd(told["imputed_usd"]).nanos <= machine_price(Decimal(36), 60_000_000).nanos
    assert 0.9 < told["idle_share"] <= 1
    assert Money.usd(told["usd_per_picture"]) > Money.usd(told["usd_per_picture_busy"])
    assert told["pictures_max"] > 3


def test_each_cloud_has_its_break_even(client):
    [rekognition] = report(client).json["break_even"]
    assert rekognition["provider"] == "rekognition"
    assert rekognition["pictures_a_month"] > 26_280  # 36 USD * 730 hours at 0.001, its dearest tier


def test_a_period_that_ends_before_it_begins_is_refused(client):
    response = report(client, "?from=2026-02-01&to=2026-01-01")
    assert (response.status_code, response.json["code"]) == (422, "invalid_parameter")
