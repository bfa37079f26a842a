"""The model server among faults: each answer is checked against the picture's own. A process of its own, real sockets."""

import io
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from local_model.cores import cores
from providers.deadline_sockets import pool_for
from providers.open_inference import OpenInference
from tests.local_model.toys import COLOURS, plug, version_of
from tests.processes import family

ROOT = Path(__file__).parents[2]
INFER = "/v2/models/colour/infer"


class Running:
    """A model server of these detectors on a Unix socket."""

    def __init__(self, folder, *descriptions):
        self.socket = folder / "m.sock"
        weights = [part for path in descriptions for part in ("--weights", str(path))]
        command = [sys.executable, "-m", "local_model", "--bind", f"unix:{self.socket}", *weights]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.pool = pool_for(f"unix:{self.socket}", 32)
        self.wait_for(lambda: self.pool.request("GET", "/v2/health", retries=False).status == 200)

    def wait_for(self, true):
        give_up = time.monotonic() + 60
        while time.monotonic() < give_up:
            assert self.process.poll() is None, self.process.stdout.read().decode()
            try:
                if true():
                    return
            except Exception:  # noqa: BLE001 -- no socket yet
                pass
            time.sleep(0.02)
        pytest.fail("not within a minute")

    def reloads(self, failed=""):
        told = self.pool.request("GET", "/metrics").data.decode()
        return int(next(line for line in told.splitlines() if line.startswith(f"model_reloads{failed}_total")).split()[1])

    def lanes(self):
        """Ids of the processes that compute."""
        return {pid for pid in family(self.process.pid) if b"local_model.lane" in Path(f"/proc/{pid}/cmdline").read_bytes()}

    def stop(self):
        self.pool.close()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.process.stdout.close()


@pytest.fixture
def server(tmp_path):
    running = Running(tmp_path, plug(tmp_path))
    yield running
    running.stop()


def picture(colour, strength):
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[..., COLOURS.index(colour)] = strength
    out = io.BytesIO()
    PIL.Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def request(content, timeout_us=None):
    parameters = {} if timeout_us is None else {"timeout": timeout_us}
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(content) + 4}}
    head = json.dumps({"inputs": [tensor], "parameters": parameters}).encode()
    return head + len(content).to_bytes(4, "little") + content, {"Inference-Header-Content-Length": str(len(head))}


def ask(pool, content, timeout_us=None, path=INFER):
    body, headers = request(content, timeout_us)
    response = pool.request("POST", path, body=body, headers=headers, retries=False)
    return response.status, json.loads(response.data)


def check(told, colour, strength, folder):
    """The answer is this picture's: its colour, as strong as it is to the version that says that it answered. Returns that version."""
    tensors = {output["name"]: output["data"] for output in told["outputs"]}
    assert tensors["classes"] == [colour]
    power = 1 if told["model_version"] == version_of(folder, 1) else 2
    assert told["model_version"] == version_of(folder, power)
    assert tensors["scores"] == [pytest.approx((48 / 64 * strength / 255) ** power, abs=2e-3)]  # below the picture the square is black
    return told["model_version"]


def honest_client(pool, folder, seed, stop, versions):
    """Pictures of known colours until told to stop; every one must be answered, and with its own answer."""
    chance = random.Random(seed)
    answered = 0
    while not stop.is_set():
        colour, strength = chance.choice(COLOURS), chance.randrange(140, 256)
        status, told = ask(pool, picture(colour, strength))
        assert status == 200, told
        versions.add(check(told, colour, strength, folder))
        answered += 1
    return answered


def dies(server, content, after):
    """A client that goes away in the middle of its request, or before it has read the answer."""
    body, headers = request(content)
    head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items())
    with socket.socket(socket.AF_UNIX) as gone:
        gone.connect(str(server.socket))
        gone.sendall((head.encode() + b"\r\n" + body)[:after])


def test_bad_items_dead_clients_expired_deadlines_and_reloads_give_nobody_a_wrong_answer(server, tmp_path):
    stop, versions = threading.Event(), set()
    with ThreadPoolExecutor(8) as clients:
        answers = [clients.submit(honest_client, server.pool, tmp_path, seed, stop, versions) for seed in range(6)]
        try:
            for step in range(12):
                status, told = ask(server.pool, b"\xff\xd8\xff" + os.urandom(200))
                assert (status, "decoded" in told["error"]) == (400, True)
                assert ask(server.pool, picture("red", 250), timeout_us=1)[0] == 504
                dies(server, picture("blue", 250), after=150)
                dies(server, picture("blue", 250), after=None)
                if step in {3, 7}:
                    done = server.reloads()
                    plug(tmp_path, version=2 if step == 3 else 1)
                    server.process.send_signal(signal.SIGHUP)
                    server.wait_for(lambda done=done: server.reloads() == done + 1)
        finally:
            stop.set()
        assert sum(answer.result(60) for answer in answers) > 0
    assert versions == {version_of(tmp_path, 1), version_of(tmp_path, 2)}


def test_a_killed_process_of_the_model_costs_nobody_an_answer(server, tmp_path):
    """Each is killed once, under load."""
    stop, versions = threading.Event(), set()
    with ThreadPoolExecutor(6) as clients:
        answers = [clients.submit(honest_client, server.pool, tmp_path, seed, stop, versions) for seed in range(6)]
        try:
            for pid in server.lanes():
                os.kill(pid, signal.SIGKILL)
                server.wait_for(lambda pid=pid: len(server.lanes() - {pid}) == cores())
        finally:
            stop.set()
        assert sum(answer.result(60) for answer in answers) > 0
    assert versions == {version_of(tmp_path, 1)}


def test_it_ends_soon_and_whole_though_a_connection_rests(server, tmp_path):
    assert ask(server.pool, picture("red", 200))[0] == 200  # its connection stays open
    lanes = server.lanes()
    began = time.monotonic()
    with ThreadPoolExecutor(4) as clients:
        answers = [clients.submit(ask, server.pool, picture("green", 200)) for _ in range(4)]
        time.sleep(0.01)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
    assert time.monotonic() - began < 8
    for answer in answers:
        if answer.exception() is None:  # else it came after the socket was closed
            check(answer.result()[1], "green", 200, tmp_path)
    assert not [pid for pid in lanes if Path(f"/proc/{pid}").exists()]


def test_a_full_queue_refuses_while_everybody_else_waits_for_an_answer(server, tmp_path):
    """More callers at once than queue, lanes and batches hold: each is answered with its own, or refused."""
    callers = 120
    begin = threading.Barrier(callers)

    def one(number):
        colour, strength = COLOURS[number % 3], 140 + number % 100
        content = picture(colour, strength)
        begin.wait(60)
        status, told = ask(server.pool, content)
        if status == 200:
            check(told, colour, strength, tmp_path)
        else:
            assert "wait for the model already" in told["error"], told
        return status

    with ThreadPoolExecutor(callers) as pool:
        statuses = list(pool.map(one, range(callers)))
    assert set(statuses) <= {200, 503}
    assert 200 in statuses


def test_weights_that_can_not_be_loaded_leave_the_old_ones_serving(server, tmp_path):
    (tmp_path / "colour.toml").write_text('name = "half a file')
    server.process.send_signal(signal.SIGHUP)
    server.wait_for(lambda: server.reloads("_failed") == 1)
    status, told = ask(server.pool, picture("green", 200))
    assert status == 200
    check(told, "green", 200, tmp_path)


def test_two_versions_answer_side_by_side_each_under_its_own_address(tmp_path):
    first, second = plug(tmp_path, 1, toml="one.toml"), plug(tmp_path, 2, toml="two.toml")
    running = Running(tmp_path, first, second)
    try:
        for version in (1, 2):
            named = version_of(tmp_path, version)
            status, told = ask(running.pool, picture("red", 200), path=f"/v2/models/colour/versions/{named}/infer")
            assert (status, told["model_version"]) == (200, named)
            assert told["outputs"][1]["data"][0] == pytest.approx((0.75 * 200 / 255) ** version, abs=2e-3)
            client = OpenInference(f"unix:{running.socket}/v2/models/colour/versions/{named}", "other")
            assert client.model == f"colour {named}"
            seen = client.predict(np.full((64, 64, 3), 255, np.uint8), time.monotonic() + 30)
            assert (seen.model, seen.labels) == (f"colour {named}", COLOURS)
            client.close()
        assert ask(running.pool, picture("red", 200))[1]["model_version"] == version_of(tmp_path, 1)
        assert len(running.pool.request("GET", "/v2/repository/index").json()) == 2
    finally:
        running.stop()
