"""A cloud that answers 429, before a real server: it is left alone as long as it asks, the other one answers, and nobody waits for it."""

import json
import time
import urllib.error
import urllib.request

import pytest

from tests.clouds.pair import two_clouds
from tests.conftest import PHOTOS
from tests.processes import ADMIN, running

PHOTO = (PHOTOS / "000000000471.jpg").read_bytes()
ASKED_S = 1.5
"""What the stand-in for Rekognition asks to be left alone for."""


class Client:
    def __init__(self, address):
        self._address = address

    def ask(self, method, path, body=None):
        headers = {"Authorization": f"Bearer {ADMIN}", "Content-Type": "image/jpeg"}
        request = urllib.request.Request(f"{self._address}{path}", body, headers, method=method)
        with urllib.request.urlopen(request, timeout=20) as response:
            return json.load(response)

    def detect(self, options="", cache="off"):
        """In less time than it asks to wait, so that no try is repeated."""
        return self.ask("POST", f"/v1/detections?cache={cache}&deadline_ms=1400{options}", PHOTO)

    def circuit(self, provider):
        found = next(one for one in self.ask("GET", "/v1/providers")["providers"] if one["name"] == provider)
        return next(one for one in found["circuit"] if one["feature"] == "objects")


@pytest.fixture
def clouds():
    with two_clouds() as clouds:
        yield clouds


@pytest.fixture
def client(clouds, tmp_path):
    environ = {
        "GATEWAY_PROVIDERS": "rekognition,google_vision",
        "GATEWAY_DATABASE_URL": f"sqlite:///{tmp_path}/gateway.db",
        **clouds[0].environ,
        **clouds[1].environ,
    }
    with running(tmp_path, "serve", **environ) as server:
        server.wait_until_ready()
        yield Client(server.address)


def told(answer):
    return [f"{one['provider']}:{one['outcome']}" for one in answer["attempts"]]


def test_a_cloud_that_is_asked_too_often_is_left_alone_for_as_long_as_it_asks(client, clouds):
    amazon = clouds[0]
    assert told(client.detect()) == ["rekognition:answered"], "first of the enabled list"
    client.detect(cache="use")
    amazon.conduct.change(fault="ThrottlingException", fault_times=1)

    throttled = client.detect()
    until = time.monotonic() + ASKED_S
    assert told(throttled) == ["rekognition:throttled", "google_vision:answered"]
    assert throttled["attempts"][0]["cost_usd"] == "0"

    requests = dict(amazon.bill.requests)
    for _ in range(5):
        answer = client.detect()
        assert told(answer) == ["google_vision:answered"]
        reasons = {one["provider"]: (one["decision"], one["reason"]) for one in answer["routing"]["considered"]}
        assert reasons["rekognition"][0] == "fallback"
        assert "to be left alone" in reasons["rekognition"][1]
    assert dict(amazon.bill.requests) == requests
    circuit = client.circuit("rekognition")
    assert circuit["state"] == "closed", "its health is fine, the rate is not"
    assert circuit["reason"].startswith("throttled")
    assert client.detect(cache="use")["cache"] == "hit", "what is known needs nobody"
    assert told(client.detect("&providers=rekognition")) == ["rekognition:answered"], "the last resort is asked"
    assert time.monotonic() < until, "this machine is too slow to say anything"

    while told(client.detect()) != ["rekognition:answered"]:
        assert time.monotonic() < until + 5.0
        time.sleep(0.02)
    assert time.monotonic() > until
    assert told(client.detect()) == ["google_vision:answered"], "half as often: it is not its turn"


def test_where_both_are_asked_too_often_each_is_still_tried(client, clouds):
    for cloud, fault in zip(clouds, ("ThrottlingException", "RESOURCE_EXHAUSTED"), strict=True):
        cloud.conduct.change(fault=fault, fault_times=1)
    with pytest.raises(urllib.error.HTTPError) as failed:
        client.detect()
    problem = json.load(failed.value)
    assert (failed.value.code, problem["code"]) == (503, "no_provider_available")
    assert all(reason.startswith("throttled") for reason in problem["providers"].values())
    assert client.detect()["provider"] in {"rekognition", "google_vision"}
