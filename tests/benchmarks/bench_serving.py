"""Our model server beside LitServe, Ray Serve and BentoML, all serving the same network on the same cores:

    python -m tests.benchmarks.bench_serving litserve=VENV ray=VENV bentoml=VENV [cgroup=/sys/fs/cgroup/cpu/bench]

Each engine lives in a virtual environment of its own, outside the repository, that has its package beside what this project needs:

    litserve==0.2.19 (with python-multipart), ray[serve]==2.60.0, bentoml==1.4.39
    and torch, safetensors, numpy, pillow as in constraints.txt

With a (version 1) control group of the CPU that you have made, each engine runs in it: then on a busy machine none gets more of the cores
for having more processes, as it would by the kernel's grouping of sessions.

Engines run one at a time and take turns over several rounds: 32 clients, each with its next picture when it has its answer (images a
second); then steady arrivals at half of what that round bore (p99 from when each was due). Every answer's best label is checked.
"""

import json
import os
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from tests.benchmarks.bench_local_model import CLIENTS, PICTURES, ROOT, infer, say
from tests.benchmarks.load import Client, closed, opened, percentile, post
from tests.processes import free_port

ROUNDS, SECONDS = 3, 8


def raw(content):
    return post("/predict", content, {"Content-Type": "application/octet-stream"})


def multipart(content):
    part = b'--b\r\nContent-Disposition: form-data; name="images"; filename="p.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    return post("/predict", part + content + b"\r\n--b--\r\n", {"Content-Type": "multipart/form-data; boundary=b"})


ENGINES = {
    "ours": (lambda port: ["-m", "local_model", "--bind", f"127.0.0.1:{port}"], infer),
    "litserve": (lambda port: ["-m", "tests.benchmarks.engines.lit", str(port)], multipart),
    "ray": (lambda port: ["-m", "tests.benchmarks.engines.ray_serve", str(port)], raw),
    "bentoml": (
        lambda port: ["-m", "bentoml", "serve", "tests.benchmarks.engines.bento:Model", "--host", "127.0.0.1", "--port", str(port)],
        multipart,
    ),
}


def label(body):
    """The best label of an answer, in any engine's words."""
    told = json.loads(body)
    if isinstance(told, list):
        [told] = told
    classes = told["classes"] if "classes" in told else next(out["data"] for out in told["outputs"] if out["name"] == "classes")
    return classes[0] if classes else None


JOIN = 'if [ -n "$1" ]; then echo $$ > "$1/tasks"; fi; shift; exec "$@"'


class Engine:
    """One engine, started in a session of its own so that it can be ended whole."""

    def __init__(self, name, python, folder):
        arguments, self._request = ENGINES[name]
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        self._mark = secrets.token_hex(8)
        own = {"PYTHONPATH": str(ROOT), "ENGINE_MARK": self._mark, "RAY_USAGE_STATS_ENABLED": "0", "BENTOML_DO_NOT_TRACK": "True"}
        environ = {**os.environ, **own, "BENTOML_HOME": folder}
        self._log = Path(folder, "log")
        with self._log.open("wb") as log:
            command = ["sh", "-c", JOIN, "sh", os.environ.get("BENCH_CGROUP", ""), python, *arguments(port)]
            self.process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=log, start_new_session=True)

    def requests(self, contents):
        return [self._request(content) for content in contents]

    def wait_until_ready(self, request):
        give_up_at = time.monotonic() + 180
        while time.monotonic() < give_up_at:
            with suppress(OSError):
                if Client(self.address).send(request)[0] == 200:
                    return
            time.sleep(0.5)
        raise SystemExit(self._log.read_text()[-3000:])

    def cpu_s(self):
        """Of all its processes, wherever they have wandered: they inherit a mark in their environment."""
        ticks = 0
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if self._mark.encode() in (entry / "environ").read_bytes():
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                    ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def stop(self):
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)


def measure(name, python, contents, own):
    """Images a second, CPU ms each, p50 and p99 at half load, errors, and answers whose best label is not the first engine's."""
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(name, python, folder)
        try:
            requests = engine.requests(contents)
            engine.wait_until_ready(requests[0])
            other = set()

            def check(number, body):
                if own.setdefault(number, label(body)) != label(body):
                    other.add(number)

            closed(engine.address, requests, CLIENTS, 3)
            cpu_s = engine.cpu_s()
            rate, answers, errors = closed(engine.address, requests, CLIENTS, SECONDS, check)
            cpu_ms = (engine.cpu_s() - cpu_s) * 1000 / len(answers)
            latencies, _ = opened(engine.address, requests, rate / 2, SECONDS)
            half = [due for due, _ in latencies.get(200, [])]
            return rate, cpu_ms, percentile(half, 0.5), percentile(half, 0.99), sum(errors.values()), len(other)
        finally:
            engine.stop()


def main():
    told_paths = dict(word.split("=", 1) for word in sys.argv[1:])
    os.environ["BENCH_CGROUP"] = told_paths.pop("cgroup", "")
    pythons = {"ours": sys.executable} | {name: f"{venv}/bin/python" for name, venv in told_paths.items()}
    contents = [path.read_bytes() for path in PICTURES]
    rows, own = {name: [] for name in pythons}, {}
    for _ in range(ROUNDS):
        for name, python in pythons.items():
            rows[name].append(measure(name, python, contents, own))
            *_, errors, other = rows[name][-1]
            say(f"  {name:9} {told(rows[name][-1])}; errors {errors}, other labels {other}; load {os.getloadavg()[0]:.1f}")
    for name, measured in rows.items():
        say(f"{name:9} median of {ROUNDS}: {told([statistics.median(column) for column in zip(*measured, strict=True)])}")


def told(row):
    return f"{row[0]:5.1f} images/s, {row[1]:.1f} ms of CPU each; at half load p50 {row[2]:.0f} ms, p99 {row[3]:.0f} ms"


if __name__ == "__main__":
    main()
