"""A batch before the stand-in of a cloud: its ceiling holds over all pictures, however many are asked about at a time."""

import io
import json

import numpy as np
import PIL.Image
import pytest
from urllib3 import encode_multipart_formdata

from cost.money import Money
from tests.clouds import rekognition
from tests.gateway.apps import admin_of, app_of


@pytest.fixture
def cloud():
    cloud = rekognition.StandIn()
    yield cloud
    cloud.close()


@pytest.fixture
def client(tmp_path, cloud):
    app = app_of(tmp_path, GATEWAY_PROVIDERS="rekognition", GATEWAY_DEFAULT_DEADLINE_MS="60000", **cloud.environ)
    yield admin_of(app)
    app.extensions["gateway"].close()


def noise(seed: int) -> bytes:
    out = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (100, 120, 3), np.uint8)
    PIL.Image.fromarray(pixels).save(out, "JPEG")
    return out.getvalue()


def send(client, count: int, **fields) -> list[dict]:
    parts = [("image", (f"{n}.jpg", noise(n), "image/jpeg")) for n in range(count)]
    body, content_type = encode_multipart_formdata([*parts, *fields.items()])
    response = client.post("/v1/detections/batch", data=body, content_type=content_type)
    return [json.loads(line) for line in response.text.splitlines()]


def test_as_many_pictures_are_paid_as_the_ceiling_of_the_whole_allows_and_not_one_more(client, cloud):
    lines = send(client, 12, batch_max_cost_usd="0.0055")
    told = sorted((line["status"], line.get("code")) for line in lines)
    assert told == [(200, None)] * 5 + [(402, "over_max_cost")] * 7
    assert sum(Money.usd(line["cost_usd"]).nanos for line in lines if line["status"] == 200) == Money.usd("0.005").nanos
    assert client.get("/v1/costs").json["total"]["cost_usd"] == "0.005"


def test_each_pictures_own_ceiling_holds_beside_that_of_the_whole(client):
    lines = send(client, 3, batch_max_cost_usd="1", max_cost_usd="0.0005")
    assert {(line["status"], line["code"]) for line in lines} == {(402, "over_max_cost")}
    assert client.get("/v1/costs").json["total"]["cost_usd"] == "0"


def test_without_a_ceiling_every_picture_is_paid(client):
    assert {line["status"] for line in send(client, 9)} == {200}
    assert client.get("/v1/costs").json["total"]["cost_usd"] == "0.009"
