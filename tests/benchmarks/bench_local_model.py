"""What the model server costs and bears: `python -m tests.benchmarks.bench_local_model [throughput] [load]`.

throughput  pictures a second through the server under 32 clients, beside a bare loop that decodes and predicts the same pictures in the
            same layout (a process a core, batches of 8); rounds take turns, so that the ratio means something on a busy machine.
            Beside it CPU time a picture, which other processes disturb less. The server's clients run on the same cores, at its expense.
load        arrivals at 25 to 150 % of what it bore: answers a second, p50, p99, batch fill; what is refused, and how fast: to those
            clients, and to a few that need not wait for a core of their own (tests/benchmarks/probe.py), which is the server's time.

Every answer under load is compared with the picture's own. Pictures: ../shared/coco128, 200 kB on average, or tests/photos.
"""

import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from local_model.cores import cores
from local_model.memory import use_few_heaps
from tests.benchmarks.load import Client, closed, opened, percentile, post
from tests.processes import family

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "coco128" / "images"
PICTURES = sorted((SHARED if SHARED.is_dir() else ROOT / "tests" / "photos").glob("*.jpg"))
CLIENTS, ROUNDS, SECONDS, BATCH = 32, 5, 6, 8


def infer(content):
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(content) + 4}}
    head = json.dumps({"inputs": [tensor]}).encode()
    body = head + len(content).to_bytes(4, "little") + content
    return post("/v2/models/nanodet-g-416/infer", body, {"Inference-Header-Content-Length": len(head)})


class BareLoop:
    """Decode and predict, batch by batch, in a process a core, as the server's lanes are."""

    def __init__(self, contents):
        spawn = multiprocessing.get_context("spawn")
        self._lanes = []
        for lane in range(cores()):
            here, there = spawn.Pipe()
            spawn.Process(target=bare_lane, args=(there, contents, lane * BATCH, cores() * BATCH), daemon=True).start()
            self._lanes.append(here)
        self._lanes[0].send(None)
        self.own = self._lanes[0].recv()

    def run(self, seconds):
        """Pictures a second, and CPU milliseconds a picture."""
        for lane in self._lanes:
            lane.send(seconds)
        done, took, cpu = zip(*[lane.recv() for lane in self._lanes], strict=True)
        return sum(done) / max(took), sum(cpu) * 1000 / sum(done)

    def check(self, number, body):
        """That an answer is the picture's own: its best box, to the noise of 16-bit sums."""
        told = {output["name"]: output["data"] for output in json.loads(body)["outputs"]}
        own = self.own[number]
        if len(own.labels) and own.confidences[0] > 0.2:
            near = [
                n
                for n, label in enumerate(told["classes"])
                if label == own.labels[0] and abs(told["scores"][n] - own.confidences[0]) < 0.05
            ]
            assert near, f"picture {number} was answered with another's boxes"


def bare_lane(told, contents, first, step):
    """One process of the bare loop: for so many seconds it tells pictures, seconds and CPU seconds; for None, its predictions."""
    from local_model.predictor import Predictor  # noqa: PLC0415 -- torch

    use_few_heaps()
    predictor = Predictor.load("cpu")
    predictor.warm()

    def batch(at):
        return predictor.predict([contents[(at + n) % len(contents)] for n in range(BATCH)])

    while True:
        try:
            seconds = told.recv()
        except EOFError:  # who asked has ended
            return
        if seconds is None:
            told.send([seen for at in range(0, len(contents), BATCH) for seen in batch(at)][: len(contents)])
            continue
        began, cpu, at, done = time.monotonic(), time.process_time(), first, 0
        while time.monotonic() < began + seconds:
            batch(at)
            at, done = at + step, done + BATCH
        told.send((done, time.monotonic() - began, time.process_time() - cpu))


class ModelServer:
    def __init__(self, folder):
        self.address = f"unix:{folder}/m.sock"
        environ = {**os.environ, "MODEL_BIND": self.address, "DIE_WITH_PARENT": "1"}
        self.process = subprocess.Popen([sys.executable, "-m", "local_model"], cwd=ROOT, env=environ, stderr=subprocess.DEVNULL)
        while not self._ready():
            time.sleep(0.1)
        self._family = family(self.process.pid)

    def _ready(self):
        try:
            return Client(self.address).send(b"GET /v2/health/ready HTTP/1.1\r\nHost: x\r\n\r\n")[0] == 200
        except OSError:
            return False

    def cpu_s(self):
        stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self._family]
        return sum(int(fields[11]) + int(fields[12]) for fields in stats) / os.sysconf("SC_CLK_TCK")

    def metric(self, name):
        _, body = Client(self.address).send(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        return sum(float(line.split()[-1]) for line in body.decode().splitlines() if line.startswith((f"{name}{{", f"{name} ")))

    def stop(self):
        self.process.terminate()
        self.process.wait()


def say(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def throughput(server, loop, requests):
    rows = []
    for _ in range(ROUNDS):
        bare, bare_cpu = loop.run(SECONDS)
        cpu, images = server.cpu_s(), server.metric("model_images_total")
        served, _, errors = closed(server.address, requests, CLIENTS, SECONDS, loop.check)
        assert not errors, errors
        served_cpu = (server.cpu_s() - cpu) * 1000 / (server.metric("model_images_total") - images)
        rows.append((bare, served, served / bare, bare_cpu / served_cpu))
        say(f"  bare {bare:5.1f} images/s, {bare_cpu:.1f} ms of CPU each; server {served:5.1f} = {served / bare:.0%}, {served_cpu:.1f} ms")
    bare, served, ratio, cpu_ratio = (statistics.median(column) for column in zip(*rows, strict=True))
    say(f"median: bare {bare:.1f}, server {served:.1f} images/s under {CLIENTS} clients = {ratio:.0%}; by CPU a picture {cpu_ratio:.0%}")


def load(server, requests, folder):
    """Each level's capacity is measured just before it: on a shared machine it is another one every minute."""
    Path(folder, "request").write_bytes(requests[0])
    for share in (0.25, 0.5, 0.75, 1.0, 1.5):
        capacity, _, _ = closed(server.address, requests, CLIENTS, SECONDS / 2)
        images, batches = server.metric("model_images_total"), server.metric("model_batches_total")
        command = [sys.executable, "-m", "tests.benchmarks.probe", server.address, f"{folder}/request", str(SECONDS * 2)]
        probe = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) if share > 1 else None
        latencies, seconds = opened(server.address, requests, capacity * share, SECONDS * 2)
        images, batches = server.metric("model_images_total") - images, server.metric("model_batches_total") - batches
        answered = [due for due, _ in latencies.get(200, [])]
        refused = [took for _, took in latencies.get(503, [])]
        probed = json.loads(probe.communicate()[0]) if probe else {}
        served = len(answered) + len(probed.get("200", []))  # those few are served, too
        say(
            f"at {share:4.0%} of {capacity:4.1f}: {served / seconds:5.1f} images/s, p50 {percentile(answered, 0.5):4.0f} ms, "
            f"p99 {percentile(answered, 0.99):4.0f} ms, {images / max(batches, 1):.1f} a batch; "
            f"refused {spread(refused)}"
        )
        if probe:
            say(f"  to clients with a core of their own: refused {spread(probed.get('503', []))}")


def spread(took):
    if not took:
        return "none"
    return f"{len(took)}, " + ", ".join(f"p{share} {percentile(took, share / 100):.1f} ms" for share in (50, 90, 99))


def main():
    wanted = sys.argv[1:] or ["throughput", "load"]
    contents = [path.read_bytes() for path in PICTURES]
    requests = [infer(content) for content in contents]
    size = sum(map(len, contents)) / len(contents) / 1000
    say(f"{len(contents)} pictures, {size:.0f} kB on average; load average {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        loop, server = BareLoop(contents), ModelServer(folder)
        try:
            closed(server.address, requests, CLIENTS, 2)  # warm
            if "throughput" in wanted:
                throughput(server, loop, requests)
            if "load" in wanted:
                load(server, requests, folder)
        finally:
            server.stop()
    say(f"load average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
