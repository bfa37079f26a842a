"""Replicas that share a database and nothing else: each its own process, its own embedded Valkey, its own waiting requests."""

import concurrent.futures
import contextlib
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from cost.database import open_database
from tests.clouds import rekognition
from tests.gateway.cache.servers import Caller, Server
from tests.gateway.toys import jpeg
from tests.processes import running

REPLICAS = 3
PICTURE = jpeg(200, 160, 90)
PATIENT = "?deadline_ms=60000"


@pytest.fixture
def amazon():
    stand_in = rekognition.StandIn()
    yield stand_in
    stand_in.close()


@contextlib.contextmanager
def replicas_of(folder, amazon, **environ):
    """Running gateways on one database."""
    shared = {"GATEWAY_PROVIDERS": "rekognition", "GATEWAY_DATABASE_URL": f"sqlite:///{folder}/gateway.db", **amazon.environ, **environ}
    with contextlib.ExitStack() as stack:
        servers = []
        for nth in range(REPLICAS):
            mine = folder / f"replica-{nth}"
            mine.mkdir()
            servers.append(stack.enter_context(running(mine, "serve", **shared)))
        for server in servers:
            server.wait_until_answering() if "GATEWAY_REDIS_URL" in environ else server.wait_until_ready()
        yield servers


def ask_all(servers, count, query=PATIENT):
    """So many identical requests at a time, over all replicas: what became of each, None where its connection broke."""
    callers = [Caller(server) for server in servers]

    def ask(nth):
        try:
            status, answer, _ = callers[nth % len(callers)].post(PICTURE, query)
        except (OSError, ValueError):
            return None
        return status, answer.get("cache"), answer.get("cost_usd")

    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(ask, range(count)))


def pays_once(folder, amazon, count, **environ):
    amazon.conduct.change(latency_ms_p50=400.0, latency_ms_p95=400.0)
    with replicas_of(folder, amazon, **environ) as servers:
        answers = ask_all(servers, count)
        assert amazon.bill.units() == {"DetectLabels": 1}
        assert {status for status, _, _ in answers} == {200}
        assert [cost for _, _, cost in answers].count("0.001") == 1
        assert [use for _, use, _ in answers].count("miss") == 1
        total = Caller(servers[0]).wait_for("/v1/costs", lambda costs: costs["total"]["avoided_usd"] == str((count - 1) / 1000))["total"]
        assert total["cost_usd"] == "0.001"


def pays_twice_at_most(folder, amazon, count):
    amazon.conduct.change(latency_ms_p50=2_000.0, latency_ms_p95=2_000.0)
    with replicas_of(folder, amazon) as servers:
        answers = []
        asking = threading.Thread(target=lambda: answers.extend(ask_all(servers, count)))
        asking.start()
        give_up_at = time.monotonic() + 30
        while not amazon.bill.units():
            assert time.monotonic() < give_up_at
            time.sleep(0.01)
        for pid in processes_of_the_leader(folder):
            os.kill(pid, signal.SIGKILL)
        asking.join()
        assert amazon.bill.units()["DetectLabels"] == 2, "one of those that waited took over, and one only"
        left = [answer for answer in answers if answer is not None]
        assert len(left) >= count * (REPLICAS - 1) // REPLICAS
        assert {status for status, _, _ in left} == {200}
        assert sum(use == "miss" for _, use, _ in left) == 1


def processes_of_the_leader(folder):
    """The worker that asks, whose number begins the flight's owner, and before it the parent that would start it again."""
    with open_database(f"sqlite:///{folder}/gateway.db").connect() as connection:
        (owner,) = connection.exec_driver_sql("SELECT owner FROM flights WHERE owner <> ''").one()
    worker = int(owner.partition("-")[0])
    return parent_of(worker), worker


def parent_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_identical_requests_over_three_replicas_pay_once(tmp_path, amazon):
    pays_once(tmp_path, amazon, 60)


def test_when_the_leaders_process_is_killed_one_of_the_others_asks(tmp_path, amazon):
    pays_twice_at_most(tmp_path, amazon, 30)


@pytest.mark.slow
def test_a_thousand_identical_requests_over_three_replicas_pay_once(tmp_path, amazon):
    pays_once(tmp_path, amazon, 1_000)


@pytest.mark.slow
def test_a_thousand_also_while_their_redis_is_dead(tmp_path, amazon):
    server = Server(tmp_path)
    server.kill()
    pays_once(tmp_path, amazon, 1_000, GATEWAY_REDIS_URL=f"redis://127.0.0.1:{server.port}")


@pytest.mark.slow
def test_a_thousand_whose_leader_is_killed_pay_twice_at_most(tmp_path, amazon):
    pays_twice_at_most(tmp_path, amazon, 1_000)
