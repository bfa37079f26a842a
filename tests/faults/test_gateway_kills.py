"""kill -9 into the whole gateway under load: whatever the cloud billed is in the ledger, and never more than the budget allows."""

import random
import time

import pytest

from tests.clouds import rekognition
from tests.clouds.behaviour import Behaviour
from tests.faults.house import PRICE_NANOS, House, Load, nanos

CLIENTS = 8
FAULTS = ("", "", "ThrottlingException", "InternalServerError", "reset", "truncated")


def settled_in_the_end(house: House) -> dict:
    """The costs once no hold is open any more: what a dead worker held becomes unknown when its time is over."""
    give_up_at = time.monotonic() + 90
    while time.monotonic() < give_up_at:
        status, costs = house.ask("GET", "/v1/costs")
        if status == 200 and costs["total"]["reserved_usd"] == "0":
            return costs["total"]
        time.sleep(0.2)
    raise AssertionError(f"a hold is open for ever: {costs}")


@pytest.mark.parametrize("rounds", [3, pytest.param(200, marks=pytest.mark.slow)])
def test_what_was_billed_is_in_the_ledger_however_the_gateway_dies(tmp_path, rounds):
    chance = random.Random(rounds)
    amazon = rekognition.StandIn(Behaviour(latency_ms_p50=30.0, latency_ms_p95=80.0), bill=tmp_path / "bill.jsonl")
    limit = rounds * 25 * PRICE_NANOS
    body = f'{{"limit_usd": "{limit / 1e9:.3f}", "period": "month", "when_exhausted": "reject"}}'.encode()
    with House(tmp_path, amazon) as house:
        assert house.ask("PUT", "/v1/budgets/all", body)[0] == 200
        load = Load(house, "/v1/detections?cache=off&deadline_ms=1500", CLIENTS)
        try:
            for _ in range(rounds):
                amazon.conduct.change(fault=chance.choice(FAULTS), fault_share=0.3, fault_billed=True)
                time.sleep(chance.uniform(0.1, 0.8))
                house.kill(chance.choice(("worker", "master", "all")), chance)
        finally:
            load.stop()
        total = settled_in_the_end(house)
        house.stop()
    amazon.close()
    billed = sum(amazon.bill.units().values()) * PRICE_NANOS
    recorded = nanos(total["cost_usd"]) + nanos(total["unknown_usd"])
    assert billed > 0
    assert billed <= recorded <= limit
    assert load.statuses[200] * PRICE_NANOS <= nanos(total["cost_usd"]), "whoever was answered has paid"
    verified = house.verified()
    assert verified.returncode == 0, verified.stdout + verified.stderr
