"""A long time under load and changing faults: memory and open files stay flat, and the ledger is sound at the end."""

import random
import statistics
import time
from pathlib import Path

import pytest

from tests.clouds import rekognition
from tests.clouds.behaviour import Behaviour
from tests.faults.house import PRICE_NANOS, House, Load, nanos

FAULTS = ("", "ThrottlingException", "InternalServerError", "reset", "close", "truncated", "html", "empty")
CLIENTS = 6


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


@pytest.mark.parametrize(
    "seconds", [12, pytest.param(600, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])], ids=["short", "ten minutes"]
)
def test_nothing_grows_and_nothing_is_lost(tmp_path, seconds):
    chance = random.Random(seconds)
    amazon = rekognition.StandIn(Behaviour(latency_ms_p50=10.0, latency_ms_p95=30.0), bill=tmp_path / "bill.jsonl")
    with House(tmp_path, amazon, GATEWAY_WORKERS="1") as house:
        loads = [Load(house, f"/v1/detections?deadline_ms=2000&cache={cache}", CLIENTS // 2) for cache in ("use", "off")]
        samples = []
        ends_at = time.monotonic() + seconds
        try:
            while time.monotonic() < ends_at:
                amazon.conduct.change(fault=chance.choice(FAULTS), fault_share=chance.uniform(0.02, 0.3), fault_billed=True)
                time.sleep(seconds / 40)
                (worker,) = house.workers()
                samples.append((resident_mb(worker), open_files(worker)))
        finally:
            for load in loads:
                load.stop()
        status, costs = house.ask("GET", "/v1/costs")
        house.stop()
    amazon.close()
    assert status == 200
    half = len(samples) // 2
    early, late = (
        [statistics.median(sample[n] for sample in part) for n in (0, 1)] for part in (samples[half // 2 : half], samples[half:])
    )
    assert late[0] <= early[0] * 1.1 + 5, f"resident memory went from {early[0]:.0f} to {late[0]:.0f} MB"
    assert late[1] <= early[1] + 2 * CLIENTS, f"open files went from {early[1]} to {late[1]}"
    billed = sum(amazon.bill.units().values()) * PRICE_NANOS
    assert 0 < billed <= nanos(costs["total"]["cost_usd"]) + nanos(costs["total"]["unknown_usd"]) + nanos(costs["total"]["reserved_usd"])
    statuses = sum((load.statuses for load in loads), start=type(loads[0].statuses)())
    assert set(statuses) <= {200, 429, 503, 504}, statuses
    assert house.verified().returncode == 0
