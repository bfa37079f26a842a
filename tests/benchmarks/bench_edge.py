"""The whole gateway on a small board: one process, no cloud, no network: `python -m tests.benchmarks.bench_edge`.

`vision-gateway serve` with the in-house model in process: seconds until it is ready, memory (the sum of its processes, shared pages
counted once), images a second under eight clients, and memory again after pictures of 12 megapixels.
"""

import io
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import PIL.Image

from tests.benchmarks.bench_local_model import PICTURES, say
from tests.benchmarks.load import Client, closed, percentile, post
from tests.processes import clean_environ, family, free_port

KEY = "bench-key"
SECONDS, CLIENTS = 15, 8


def detect(content):
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "image/jpeg"}
    return post("/v1/detections?cache=off&deadline_ms=60000", content, headers)


def is_ready(address):
    try:
        return Client(address).send(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")[0] == 200
    except OSError:
        return False


def memory_mb(pid):
    """Proportional set size of a process and its children."""
    total = 0
    for member in family(pid):
        lines = Path(f"/proc/{member}/smaps_rollup").read_text().splitlines()
        total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def twelve_megapixels(content):
    out = io.BytesIO()
    PIL.Image.open(io.BytesIO(content)).convert("RGB").resize((4000, 3000)).save(out, "JPEG", quality=85)
    return out.getvalue()


def main():
    contents = [path.read_bytes() for path in PICTURES]
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        environ = clean_environ(PORT=str(port), GATEWAY_ADMIN_KEY=KEY, GATEWAY_PROVIDERS="local")
        began = time.monotonic()
        command = [sys.executable, "-m", "gateway", "serve"]
        gateway = subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        address = f"127.0.0.1:{port}"
        try:
            while not is_ready(address):
                time.sleep(0.05)
            say(f"ready after {time.monotonic() - began:.1f} s; {memory_mb(gateway.pid):.0f} MB in {len(family(gateway.pid))} processes")
            requests = [detect(content) for content in contents]
            rate, latencies, errors = closed(address, requests, CLIENTS, SECONDS)
            say(f"{rate:.1f} images/s under {CLIENTS} clients, p50 {percentile(latencies, 0.5):.0f} ms; errors {dict(errors)}")
            say(f"{memory_mb(gateway.pid):.0f} MB after {len(latencies)} pictures")
            large = [detect(twelve_megapixels(content)) for content in contents[:4]]
            rate, latencies, errors = closed(address, large, CLIENTS, SECONDS)
            say(f"{rate:.1f} pictures of 12 megapixels a second; errors {dict(errors)}; {memory_mb(gateway.pid):.0f} MB after")
        finally:
            gateway.terminate()
            gateway.wait()
    say(f"{len(os.sched_getaffinity(0))} cores, load average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
