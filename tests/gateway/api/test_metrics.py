"""`/metrics` of the real server: several processes, one sum."""

import http.client
import os
import re
import signal
import time
import urllib.request
from pathlib import Path

import pytest

from tests.conftest import PHOTOS
from tests.processes import ADMIN, running
from tests.waiting import until

PHOTO = (PHOTOS / "000000000471.jpg").read_bytes()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("metrics"), "serve", GATEWAY_WORKERS="2", GATEWAY_THREADS="4") as server:
        yield server.wait_until_ready()


def detect(server, **headers: str) -> int:
    """One picture over a new connection, which either worker may get."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("POST", "/v1/detections", PHOTO, {"Authorization": f"Bearer {ADMIN}", "Content-Type": "image/jpeg"} | headers)
    status = connection.getresponse().status
    connection.close()
    return status


def scrape(server) -> dict[str, float]:
    with urllib.request.urlopen(f"{server.address}/metrics", timeout=10) as response:
        assert response.headers["Content-Type"].startswith("text/plain")
        text = response.read().decode()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))}


def workers(server) -> list[int]:
    tasks = Path(f"/proc/{server.process.pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


DETECTIONS = 'gateway_requests_total{method="POST",route="/v1/detections",status="200"}'


def test_the_sum_of_all_processes_is_told_by_each_of_them_also_after_one_has_died(server):
    before = scrape(server).get(DETECTIONS, 0)
    for _ in range(8):
        assert detect(server) == 200
    assert {scrape(server)[DETECTIONS] for _ in range(6)} == {before + 8}
    first = workers(server)
    os.kill(first[0], signal.SIGKILL)
    until(lambda: len(set(workers(server)) - {first[0]}) >= 2)
    server.wait_until_ready()
    assert {scrape(server)[DETECTIONS] for _ in range(6)} == {before + 8}
    for _ in range(4):
        assert detect(server) == 200
    assert {scrape(server)[DETECTIONS] for _ in range(6)} == {before + 12}


def test_each_stage_that_a_picture_went_through_is_timed(server):
    detect(server)
    counts = {name: value for name, value in scrape(server).items() if name.startswith("gateway_stage_seconds_count")}
    stages = {re.search('stage="(.*)"', name)[1]: value for name, value in counts.items()}
    assert {"read", "choose", "reserve", "detect", "settle", "write"} <= stages.keys()
    assert all(stages.values())


def test_no_label_is_of_a_clients_making(server):
    urllib.request.urlopen(urllib.request.Request(f"{server.address}/healthz", headers={"X-Request-ID": "made-up"})).close()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("SPIN", "/made-up-address", headers={"X-Request-ID": "made-up"})
    connection.getresponse().read()
    connection.close()
    told = scrape(server)
    assert not [name for name in told if "made-up" in name or "SPIN" in name]
    assert told['gateway_requests_total{method="other",route="none",status="404"}'] == 1


def test_the_ledger_is_told_without_a_key(server):
    assert scrape(server)["gateway_ledger_read_timestamp_seconds"] > time.time() - 60
