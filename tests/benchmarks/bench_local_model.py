"""What batching and the server cost and bring: `python tests/benchmarks/bench_local_model.py`, from the root of the repository.

All in one run on the same cores and the same pictures, so that the ratios mean something on a busy machine too:
a bare loop that decodes and predicts, the batcher under threads, and the server under clients. Then the server at 25 to 150 % of its rate.
"""

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from local_model.batching import Batcher  # noqa: E402 -- the project is not installed where benches run
from local_model.predictor import Predictor  # noqa: E402
from local_model.server import decoded  # noqa: E402
from providers.deadline_sockets import pool_for  # noqa: E402

SHARED = ROOT.parent / "shared" / "coco128" / "images"
PICTURES = sorted((SHARED if SHARED.is_dir() else ROOT / "tests" / "photos").glob("*.jpg"))
CLIENTS = 32
SECONDS = 8


def rate(work, threads, seconds=SECONDS):
    """Calls of `work(number)` a second from so many threads."""
    done, stop = Counter(), time.monotonic() + seconds

    def loop(thread):
        number = thread
        while time.monotonic() < stop:
            work(number % len(PICTURES))
            done[thread] += 1
            number += threads

    workers = [threading.Thread(target=loop, args=(thread,)) for thread in range(threads)]
    began = time.monotonic()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(done.values()) / (time.monotonic() - began)


def bare_loop(predictor, contents, batch):
    def eight(number):
        predictor.predict([decoded(contents[(number * batch + n) % len(contents)]) for n in range(batch)])

    return rate(eight, 1) * batch


def infer(pool, content):
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(content) + 4}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    body = head + len(content).to_bytes(4, "little") + content
    headers = {"Inference-Header-Content-Length": str(len(head))}
    return pool.request("POST", "/v2/models/nanodet-g-416/infer", body=body, headers=headers, retries=False).status


def at_load(pool, contents, per_second, seconds=SECONDS):
    """Open arrivals: latencies of what was answered (ms), how long refusals took (ms), by status."""
    latencies, statuses, jobs = {200: [], 503: []}, Counter(), queue.Queue()

    def client():
        while (job := jobs.get()) is not None:
            due, number = job
            time.sleep(max(due - time.monotonic(), 0))
            began = time.monotonic()
            status = infer(pool, contents[number % len(contents)])
            statuses[status] += 1
            latencies.setdefault(status, []).append((time.monotonic() - began) * 1000)

    workers = [threading.Thread(target=client) for _ in range(96)]
    start = time.monotonic()
    for number in range(int(per_second * seconds)):
        jobs.put((start + number / per_second, number))
    for _ in workers:
        jobs.put(None)
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return latencies, statuses, time.monotonic() - start


def percentile(values, share):
    return sorted(values)[min(int(share * len(values)), len(values) - 1)] if values else float("nan")


def say(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main():
    contents = [path.read_bytes() for path in PICTURES]
    predictor = Predictor.load()
    predictor.warm()
    loops = {batch: bare_loop(predictor, contents, batch) for batch in (1, 8)}
    batcher = Batcher(predictor)
    batched = rate(lambda number: batcher.predict(decoded(contents[number])), 16)
    fill = batcher.counts.images / max(batcher.counts.batches, 1)
    batcher.close()
    say(f"bare loop, batch 1: {loops[1]:.1f} images/s; batch 8: {loops[8]:.1f}")
    say(f"batcher, 16 threads: {batched:.1f} images/s = {batched / loops[8]:.0%} of the loop of 8; {fill:.1f} images a batch")
    with tempfile.TemporaryDirectory() as folder:
        environ = {**os.environ, "MODEL_BIND": f"unix:{folder}/m.sock", "DIE_WITH_PARENT": "1"}
        server = subprocess.Popen([sys.executable, "-m", "local_model"], cwd=ROOT, env=environ, stderr=subprocess.DEVNULL)
        pool = pool_for(f"unix:{folder}/m.sock", 128)
        try:
            measure_server(pool, contents, loops[8])
        finally:
            server.terminate()
            server.wait()


def measure_server(pool, contents, loop):
    ready = False
    while not ready:
        time.sleep(0.2)
        try:
            ready = pool.request("GET", "/v2/health/ready", retries=False).status == 200
        except Exception:  # noqa: BLE001 -- no socket yet
            continue
    served = rate(lambda number: infer(pool, contents[number]), CLIENTS)
    say(f"server, {CLIENTS} clients: {served:.1f} images/s = {served / loop:.0%} of the loop of 8")
    for share in (0.25, 0.5, 0.75, 1.0, 1.5):
        latencies, statuses, seconds = at_load(pool, contents, served * share)
        answered, refused = latencies[200], latencies[503]
        say(
            f"at {share:4.0%}: {len(answered) / seconds:5.1f} images/s, p50 {percentile(answered, 0.5):.0f} ms, "
            f"p99 {percentile(answered, 0.99):.0f} ms; refused {statuses[503]}, p50 {percentile(refused, 0.5):.1f} ms"
        )


if __name__ == "__main__":
    main()
