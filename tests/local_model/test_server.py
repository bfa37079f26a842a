"""The model server as it runs: a process of its own on a Unix socket."""

import asyncio
import base64
import http.client
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import PIL.Image
import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger

from local_model import models
from local_model.__main__ import _Worker
from local_model.preprocess import decoded
from local_model.server import BODY_BYTES_MAX, Server
from providers.deadline_sockets import pool_for
from tests.waiting import until

ROOT = Path(__file__).parents[2]
GIRAFFES = ROOT / "tests" / "photos" / "000000000072.jpg"
MODEL = "/v2/models/nanodet-g-416"


def started(bind, **environ):
    return subprocess.Popen(
        [sys.executable, "-m", "local_model"],
        cwd=ROOT,
        env={**os.environ, "MODEL_BIND": bind, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def until_ready(pool, process):
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        assert process.poll() is None, process.stdout.read().decode()
        try:
            if pool.request("GET", "/v2/health/ready", retries=False).status == 200:
                return
        except OSError:
            pass
        except Exception:  # noqa: BLE001 -- no socket yet
            time.sleep(0.05)
        time.sleep(0.05)
    pytest.fail("The model server is not ready after a minute.")


def stopped(process):
    process.send_signal(signal.SIGTERM)
    code = process.wait(30)
    process.stdout.close()
    return code


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A running server; the socket file of a killed run lay in its way."""
    path = tmp_path_factory.mktemp("model") / "deep" / "model.sock"
    path.parent.mkdir()
    stale = "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])"
    subprocess.run([sys.executable, "-c", stale, str(path)], check=True)
    assert path.is_socket()
    process = started(f"unix:{path}")
    pool = pool_for(f"unix:{path}", 4)
    until_ready(pool, process)
    yield pool, path
    pool.close()
    assert stopped(process) == 0
    assert not path.exists()


def infer(pool, inputs, tail=b"", path=f"{MODEL}/infer", **more):
    head = json.dumps({"inputs": inputs, **more}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))} if tail else {}
    return pool.request("POST", path, body=head + tail, headers=headers, retries=False)


def tensors(response):
    told = json.loads(response.data)
    return told, {output["name"]: output["data"] for output in told["outputs"]}


def pixels():
    picture = np.asarray(PIL.Image.open(GIRAFFES))
    return [
        {"name": "pixels", "datatype": "UINT8", "shape": list(picture.shape), "parameters": {"binary_data_size": picture.nbytes}}
    ], picture


def test_it_tells_that_it_lives_is_ready_and_what_it_serves(server):
    pool, _ = server
    assert pool.request("GET", "/v2/health/live").status == 200
    assert "binary_tensor_data" in pool.request("GET", "/v2").json()["extensions"]
    assert pool.request("GET", f"{MODEL}/ready").status == 200
    metadata = pool.request("GET", MODEL).json()
    assert metadata["name"] == "nanodet-g-416"
    assert [entry["name"] for entry in metadata["inputs"]] == ["pixels", "image"]
    assert [entry["name"] for entry in metadata["outputs"]] == ["boxes", "scores", "classes"]
    assert pool.request("GET", f"{MODEL}/versions/{metadata['versions'][0]}").status == 200


def test_pixels_and_the_encoded_picture_find_the_same_two_giraffes(server):
    pool, _ = server
    inputs, picture = pixels()
    told, by_pixels = tensors(infer(pool, inputs, picture.tobytes(), id="mine"))
    assert (told["model_name"], told["id"]) == ("nanodet-g-416", "mine")
    assert len(told["model_version"]) == 8
    content = GIRAFFES.read_bytes()
    encoded = [{"name": "image", "datatype": "BYTES", "shape": [1], "data": [base64.b64encode(content).decode()]}]
    _, by_json = tensors(infer(pool, encoded))
    packed = len(content).to_bytes(4, "little") + content
    binary = [{"name": "image", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(packed)}}]
    _, by_binary = tensors(infer(pool, binary, packed))
    assert by_pixels["classes"][:2] == ["giraffe", "giraffe"]
    assert by_pixels["scores"][1] > 0.6
    assert by_pixels == by_json == by_binary


PICTURE = {"name": "pixels", "datatype": "UINT8", "shape": [1, 1, 3], "data": [1, 2, 3]}


@pytest.mark.parametrize(
    ("inputs", "more", "status", "sentence"),
    [
        ([{**PICTURE, "shape": [3]}], {}, 400, "height, width, 3"),
        ([{**PICTURE, "shape": [0, 1, 3], "data": []}], {}, 400, "height, width, 3"),
        ([{**PICTURE, "datatype": "FP32"}], {}, 400, "Send one input"),
        ([{**PICTURE, "name": "input_1"}], {}, 400, "Send one input"),
        ([{"name": "image", "datatype": "BYTES", "shape": [1], "data": ["AAAA"]}], {}, 400, "can't be decoded"),
        ([PICTURE], {"outputs": [{"name": "masks"}]}, 400, "outputs is a list"),
        ([PICTURE], {"parameters": {"timeout": "soon"}}, 400, "microseconds"),
        ([PICTURE], {"parameters": {"timeout": 1}}, 504, "deadline"),
        ([PICTURE], {"path": "/v2/models/other/infer"}, 404, "no model 'other'"),
        ([PICTURE], {"path": f"{MODEL}/versions/1/infer"}, 404, "version '1'"),
        ([PICTURE], {"path": "/v3"}, 404, ""),
        ([PICTURE], {"path": MODEL}, 405, ""),
        ([], {}, 400, "no list of inputs"),
    ],
)
def test_what_is_wrong_is_told_in_the_protocols_own_form(server, inputs, more, status, sentence):
    pool, _ = server
    response = infer(pool, inputs, **more)
    assert response.status == status
    assert sentence in response.json()["error"]


def test_a_second_server_does_not_take_the_socket_away(server):
    pool, path = server
    second = started(f"unix:{path}")
    assert second.wait(30) != 0
    assert b"listens" in second.stdout.read()
    second.stdout.close()
    assert pool.request("GET", "/v2/health/live").status == 200


def test_metrics_are_prometheus_text_and_tell_pace_fill_queue_and_memory(server):
    pool, _ = server
    inputs, picture = pixels()
    infer(pool, inputs, picture.tobytes())
    told = pool.request("GET", "/metrics").data.decode()
    sample = re.compile(r'(model_\w+)(?:\{model="nanodet-g-416",version="[0-9a-f]{8}"(?:,le="[^"]+")?\})? ([0-9.]+)')
    lines = [line for line in told.splitlines() if not line.startswith(("# HELP model_", "# TYPE model_"))]
    values = {}
    for line in lines:
        name, value = sample.fullmatch(line).groups()
        values.setdefault(name, float(value))
    assert values["model_images_total"] >= 1
    assert values["model_batches_total"] >= 1
    assert values["model_images_per_second"] > 0
    assert 0 < values["model_batch_fill_ratio"] <= 1
    assert values["model_queue_seconds_count"] >= 1
    assert values["model_gpu_memory_bytes"] >= 0


def test_on_its_unix_socket_the_same_weights_are_read_again_and_go_on(server):
    pool, _ = server
    before = pool.request("GET", "/v2/repository/index").json()
    assert pool.request("POST", "/v2/repository/models/nanodet-g-416/load").json() == before
    assert pool.request("POST", "/v2/repository/models/other/load").status == 404
    assert "model_reloads_total 1" in pool.request("GET", "/metrics").data.decode()


def test_an_answer_that_needs_no_body_leaves_the_connection_as_it_was(server):
    """Two requests to a model that is not there, with large bodies, and one to its health, on one connection."""
    _, path = server
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        for line in ("POST /v2/models/other/infer", "POST /v2/models/other/infer", "GET /v2/health/live"):
            body = bytes(300_000) if line.startswith("POST") else b""
            connection.sendall(f"{line} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            answer.read()
            assert (answer.status, answer.will_close) == (404 if body else 200, False)


class Connection:
    """The server's side of one exchange, in ASGI's words: a body in pieces, and what was said and read in its order."""

    def __init__(self, pieces, ends=True):
        self.pieces, self.ends, self.order, self.said = list(pieces), ends, [], []

    async def receive(self):
        if not self.pieces:
            return {"type": "http.disconnect"}
        self.order.append("read")
        piece = self.pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(self.pieces) or not self.ends}

    async def send(self, message):
        self.order.append("told")
        self.said.append(message)

    def exchange(self, server, method, path, headers=()):
        asyncio.run(server({"type": "http", "method": method, "path": path, "headers": list(headers)}, self.receive, self.send))
        return self.said[0]["status"], json.loads(self.said[1]["body"])


def ask(server, method, path):
    return Connection([b""]).exchange(server, method, path)


@pytest.fixture
def slow():
    """A server of a model that takes until it is let go to load."""
    go, made = threading.Event(), []

    def make(**settings):
        made.append(Server([lambda: Slow(go)], **settings))
        return made[0], go

    yield make
    go.set()
    made[0].close()


def test_a_full_queue_refuses_by_the_head_alone_and_reads_the_body_after_it_has_answered(slow):
    server, go = slow(queue_max=0)
    go.set()
    server.models.wait_until_loaded()
    connection = Connection([bytes(100_000)] * 3)
    status, told = connection.exchange(server, "POST", "/v2/models/slow/infer")
    assert status == 503
    assert "wait for the model already" in told["error"]
    assert connection.order == ["told", "told", "read", "read", "read"]


def test_a_body_that_is_too_large_is_refused_and_not_read_to_its_end(slow):
    server, go = slow()
    go.set()
    server.models.wait_until_loaded()
    connection = Connection([bytes(BODY_BYTES_MAX // 2)] * 4)
    status, told = connection.exchange(server, "POST", "/v2/models/slow/infer")
    assert status == 413
    assert str(BODY_BYTES_MAX) in told["error"]
    assert len(connection.pieces) == 1


def test_a_client_that_goes_within_its_body_is_no_fault_of_the_server(slow, caplog):
    server, go = slow()
    go.set()
    server.models.wait_until_loaded()
    assert Connection([b"half"], ends=False).exchange(server, "POST", "/v2/models/slow/infer")[0] == 400
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_elsewhere_no_request_may_have_weights_read(slow):
    server, go = slow()
    go.set()
    server.models.wait_until_loaded()
    status, told = ask(server, "POST", "/v2/repository/models/slow/load")
    assert status == 403
    assert "SIGHUP" in told["error"]


class Worker(_Worker):
    """Told to end while it sleeps after its first heartbeat; not a process of its own."""

    def notify(self):
        self.loop.call_later(0.01, self.handle_exit_signal)

    async def serve(self):
        self.loop, self.asgi = asyncio.get_running_loop(), Server([])
        began = self.loop.time()
        await self._serve()
        return self.loop.time() - began


def test_told_to_end_it_does_not_sleep_until_its_next_heartbeat(tmp_path):
    config = Config()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "m.sock"))
        worker = Worker(1, os.getppid(), [SimpleNamespace(sock=listener)], None, 30, config, Logger(config))
        assert asyncio.run(worker.serve()) < 0.9
        worker.tmp.close()


def test_it_ends_with_a_parent_that_is_killed(tmp_path):
    """Parent and server are started together; the parent is killed and can tell nobody."""
    code = "import subprocess, sys, time; print(subprocess.Popen([sys.executable, '-m', 'local_model']).pid, flush=True); time.sleep(60)"
    environ = {**os.environ, "MODEL_BIND": f"unix:{tmp_path}/m.sock", "DIE_WITH_PARENT": "1"}
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    server_id = int(parent.stdout.readline())
    give_up = time.monotonic() + 30
    while not (tmp_path / "m.sock").exists():
        assert time.monotonic() < give_up
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    while alive(server_id):
        assert time.monotonic() < give_up
        time.sleep(0.05)


def alive(process_id):
    try:
        return "Z" not in Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


class Slow:
    """Takes until it is let go to load."""

    name, version, model, images_max, lanes, ahead, elsewhere = "slow", "1", "slow 1", 4, 1, True, False

    def __init__(self, go):
        assert go.wait(10)

    def warm(self):
        pass

    def close(self):
        pass


def test_a_server_whose_model_still_loads_is_alive_and_not_ready(slow):
    server, go = slow()
    assert ask(server, "GET", "/v2/health/live")[0] == 200
    assert ask(server, "GET", "/v2/health/ready")[0] == 503
    assert "loading" in ask(server, "POST", "/v2/models/slow/infer")[1]["error"]
    go.set()
    server.models.wait_until_loaded()
    assert ask(server, "GET", "/v2/health/ready")[0] == 200


def test_a_model_that_can_not_be_loaded_is_told_by_ready(caplog):
    def broken():
        raise OSError("no such weights")

    server = Server([broken])
    server.models.wait_until_loaded()
    status, told = ask(server, "GET", "/v2/health/ready")
    assert status == 503
    assert "no such weights" in told["error"]
    server.close()


def test_a_model_that_could_not_be_loaded_is_loaded_once_it_can_be(monkeypatch, caplog):
    monkeypatch.setattr(models, "_AGAIN_AFTER_S", 0.02)
    monkeypatch.setattr(models, "_AGAIN_AFTER_S_MAX", 0.05)
    missing = [True]

    def late():
        if missing:
            raise OSError("no such weights")
        return SimpleNamespace(
            name="late", version="1", model="late 1", images_max=1, lanes=1, ahead=False, elsewhere=False, warm=int, close=int
        )

    server = Server([late])
    server.models.wait_until_loaded()
    assert ask(server, "GET", "/v2/health/ready")[0] == 503
    until(lambda: len(caplog.records) > 3)
    missing.clear()
    until(lambda: ask(server, "GET", "/v2/health/ready")[0] == 200)
    pauses_s = [record.again_in_s for record in caplog.records if record.getMessage() == "model.not_loaded"]
    assert pauses_s[:4] == [0.02, 0.04, 0.05, 0.05]
    server.close()


def test_a_model_that_is_loaded_after_the_end_is_closed_too():
    go, closed = threading.Event(), threading.Event()

    def late():
        assert go.wait(10)
        return SimpleNamespace(
            name="late", version="1", model="late 1", images_max=1, lanes=1, ahead=False, elsewhere=False, warm=int, close=closed.set
        )

    server = Server([late])
    server.close()
    go.set()
    assert closed.wait(10)


def test_an_encoded_picture_is_set_upright():
    out = io.BytesIO()
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    PIL.Image.new("RGB", (40, 20)).save(out, "JPEG", exif=exif)
    assert decoded(out.getvalue()).shape == (40, 20, 3)
