"""A fleet of two replicas on this machine: one is killed under load, then new weights roll out. Needs the extra `[ray]`."""

import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import urllib3

from providers.open_inference import OpenInference
from tests.local_model.test_faults import ask, check, picture
from tests.local_model.toys import COLOURS, plug, version_of
from tests.processes import ROOT, free_port
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

ray = pytest.importorskip("ray", reason="the extra [ray] is not installed")
serve = pytest.importorskip("ray.serve")
ray_app = pytest.importorskip("local_model.ray_app")


class Fleet:
    """Two replicas behind Ray's HTTP proxy."""

    def __init__(self, folder):
        port = free_port()
        environ = {"env_vars": {"PYTHONPATH": str(ROOT)}}
        ray.init(num_cpus=4, include_dashboard=False, object_store_memory=100 << 20, runtime_env=environ, log_to_driver=False)
        serve.start(http_options={"host": "127.0.0.1", "port": port})
        self.address = f"http://127.0.0.1:{port}"
        self.pool = urllib3.HTTPConnectionPool("127.0.0.1", port, maxsize=16)
        self.deploy(plug(folder))

    def deploy(self, weights):
        serve.run(ray_app.app({"device": "cpu", "replicas": "2", "cores": "1", "weights": str(weights)}))

    def replicas(self):
        """Process ids, by the titles that Ray gives its own."""
        titles = {int(entry.name): (entry / "cmdline") for entry in Path("/proc").glob("[0-9]*")}
        return {pid for pid, file in titles.items() if b"ServeReplica:default:model" in read(file)}

    def close(self):
        self.pool.close()
        serve.shutdown()
        ray.shutdown()


def read(file):
    try:
        return file.read_bytes()
    except OSError:
        return b""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fleet")
    made = Fleet(folder)
    yield made, folder
    made.close()


def client(fleet, folder, seed, stop, seen):
    """Pictures of known colours; each answer must be its own. What fails is counted, as a caller would who then asks elsewhere."""
    chance = random.Random(seed)
    while not stop.is_set():
        colour, strength = chance.choice(COLOURS), chance.randrange(140, 256)
        try:
            status, told = ask(fleet.pool, picture(colour, strength))
        except (urllib3.exceptions.HTTPError, ValueError):  # the connection broke, or the proxy's own words
            seen.append("failed")
            continue
        seen.append(check(told, colour, strength, folder) if status == 200 else status)


def under_load(fleet, folder, happens):
    stop, seen = threading.Event(), []
    with ThreadPoolExecutor(6) as pool:
        clients = [pool.submit(client, fleet, folder, seed, stop, seen) for seed in range(6)]
        try:
            time.sleep(1)
            happens()
            time.sleep(1)
        finally:
            stop.set()
        for one in clients:
            one.result(60)
    return seen


def test_a_replica_killed_under_load_is_replaced_and_nobody_gets_anothers_answer(fleet):
    fleet, folder = fleet
    before = fleet.replicas()
    assert len(before) == 2

    def kill():
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        give_up_at = time.monotonic() + 90
        while len(fleet.replicas()) < 2 or victim in fleet.replicas():
            assert time.monotonic() < give_up_at
            time.sleep(0.2)

    seen = under_load(fleet, folder, kill)
    answered = [one for one in seen if one == version_of(folder, 1)]
    print(f"{len(answered)} answers, each its picture's own; {len(seen) - len(answered)} failed at the kill")
    assert len(answered) > 20
    assert len(seen) - len(answered) < 0.2 * len(seen)


def test_the_gateways_own_client_finds_the_model_behind_ray(fleet):
    fleet, folder = fleet
    client = OpenInference(f"{fleet.address}/v2/models/colour", "other")
    until(lambda: client.health().ready, within_s=30)
    assert client.model == f"colour {version_of(folder, 1)}"
    seen = client.predict(np.full((64, 64, 3), 255, np.uint8), time.monotonic() + 30)
    assert (seen.labels, seen.model) == (COLOURS, client.model)
    client.close()


def test_new_weights_roll_out_without_a_lost_request(fleet):
    fleet, folder = fleet
    plug(folder, version=2, toml="second.toml")
    seen = under_load(fleet, folder, lambda: fleet.deploy(folder / "second.toml"))
    assert set(seen) == {version_of(folder, 1), version_of(folder, 2)}
    assert seen[-1] == version_of(folder, 2)
