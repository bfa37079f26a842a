"""The speed of a hit beside the bare floor: the same server, worker and thread counts, one Flask-RESTful resource that reads the same body,
hashes it, GETs the same key of the same Valkey and returns the bytes. One run, interleaved rounds, real sockets.

python -m tests.benchmarks.bench_cache_hit
"""

import argparse
import hashlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

from flask import Flask, Response, request
from flask_restful import Api, Resource

from gateway.cache.link import client_of
from gateway.cache.valkey import embedded_valkey
from gateway.monitoring.folder import NumbersFolder
from gateway.server import GatewayServer
from gateway.settings import Settings
from tests.processes import ADMIN, ROOT, clean_environ, free_port

BODY_BYTES = 200_000
CONNECTIONS = 8
ROUNDS = 7
ROUND_S = 4.0
WORKERS, THREADS = 2, 32


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=ROUND_S)
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--floor", nargs=3, metavar=("PORT", "REDIS", "PREFIX"), help="be the floor")
    asked = parser.parse_args()
    if asked.floor:
        serve_floor(int(asked.floor[0]), asked.floor[1], asked.floor[2])
    else:
        measure(asked.rounds, asked.seconds, asked.connections)


def measure(rounds: int, seconds: float, connections: int) -> None:
    picture = a_picture()
    with tempfile.TemporaryDirectory() as folder, embedded_valkey(Settings()) as valkey:
        assert valkey is not None, "this platform has no server"
        redis_url = valkey.url
        gateway_port, floor_port = free_port(), free_port()
        environ = {
            "PORT": str(gateway_port),
            "GATEWAY_ADMIN_KEY": ADMIN,
            "GATEWAY_REDIS_URL": redis_url,
            "GATEWAY_WORKERS": str(WORKERS),
            "GATEWAY_THREADS": str(THREADS),
        }
        servers = [start(["-m", "gateway", "serve"], Path(folder), environ)]
        try:
            wait_for(gateway_port, "/readyz", b'"ready"')
            answer = once(gateway_port, picture, "?deadline_ms=120000")  # the model may still be loading
            assert b'"cache":"miss"' in answer, answer
            assert b'"cache":"hit"' in once(gateway_port, picture)
            key = the_key(redis_url)
            prefix = key.rpartition(":")[0] + ":"
            servers.append(
                start(["-m", "tests.benchmarks.bench_cache_hit", "--floor", str(floor_port), redis_url, prefix], Path(folder), {})
            )
            wait_for(floor_port, "/", b"")
            assert once(floor_port, picture).startswith(b"vgk1")
            run(rounds, seconds, connections, {"floor": (floor_port, servers[1]), "gateway": (gateway_port, servers[0])}, picture)
        finally:
            for server in servers:
                server.terminate()
            for server in servers:
                server.wait(30)


def run(rounds: int, seconds: float, connections: int, sides: dict, picture: bytes) -> None:
    seen: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in sides}
    for side in sides.values():
        one_round(side, 1.0, connections, picture)
    for nth in range(rounds):
        for name in sides if nth % 2 else reversed(sides):
            seen[name].append(one_round(sides[name], seconds, connections, picture))
    load = f"{len(picture) // 1000} kB body, {connections} connections, {WORKERS} workers x {THREADS} threads"
    print(f"{load}, medians of {rounds} rounds of {seconds:g} s:")
    print(f"{'':<10}{'requests/s':>12}{'p50 ms':>9}{'p99 ms':>9}{'server CPU ms':>15}")
    middle = {name: [statistics.median(column) for column in zip(*rows, strict=True)] for name, rows in seen.items()}
    for name, (rate, p50, p99, cpu_ms) in middle.items():
        print(f"{name:<10}{rate:>12.0f}{p50:>9.2f}{p99:>9.2f}{cpu_ms:>15.3f}")
    ratios = [[gateway[n] / floor[n] for gateway, floor in zip(seen["gateway"], seen["floor"], strict=True)] for n in range(4)]
    said = [f"{statistics.median(ratio):.2f} [{min(ratio):.2f}-{max(ratio):.2f}]" for ratio in ratios]
    print(f"gateway / floor, median of the rounds' ratios [least-most]: requests/s {said[0]}, p50 {said[1]}, p99 {said[2]}, CPU {said[3]}")


def one_round(side: tuple[int, subprocess.Popen], seconds: float, connections: int, picture: bytes) -> tuple[float, float, float, float]:
    """Requests a second, p50 and p99 in ms, and CPU milliseconds of the server's processes a request."""
    port, server = side
    cpu_before = cpu_s(server.pid)
    code = f"from tests.benchmarks.bench_cache_hit import load; load({port}, {seconds}, {connections}, {len(picture)})"
    client = subprocess.run([sys.executable, "-c", code], cwd=ROOT, input=picture, capture_output=True, check=True)
    latencies = json.loads(client.stdout)
    latencies.sort()
    count = len(latencies)
    cpu_ms = (cpu_s(server.pid) - cpu_before) * 1000 / count
    return count / seconds, latencies[count // 2] * 1000, latencies[count * 99 // 100] * 1000, cpu_ms


def load(port: int, seconds: float, connections: int, length: int) -> None:
    """The client, a process of its own: as little work a request as Python can do."""
    request = the_request(sys.stdin.buffer.read(length))
    latencies: list[list[float]] = [[] for _ in range(connections)]
    until = time.monotonic() + seconds

    def ask(mine: list[float]) -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while (started := time.monotonic()) < until:
                connection.sendall(request)
                read_answer(connection)
                mine.append(time.monotonic() - started)

    threads = [threading.Thread(target=ask, args=(mine,)) for mine in latencies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps([latency for mine in latencies for latency in mine]))


def the_request(picture: bytes, query: str = "") -> bytes:
    lines = [f"POST /v1/detections{query} HTTP/1.1", "Host: x", f"Authorization: Bearer {ADMIN}", "Content-Type: image/jpeg"]
    head = "\r\n".join([*lines, f"Content-Length: {len(picture)}", "", ""])
    return head.encode() + picture


def read_answer(connection: socket.socket) -> bytes:
    answer = b""
    while (end := answer.find(b"\r\n\r\n")) < 0:
        part = connection.recv(65536)
        assert part, answer
        answer += part
    assert answer.startswith(b"HTTP/1.1 200"), answer
    head = answer[:end].lower()
    at = head.index(b"content-length:") + len(b"content-length:")
    length = int(head[at : (head.find(b"\r\n", at) + 1 or len(head) + 1) - 1])
    while len(answer) < end + 4 + length:
        answer += connection.recv(65536)
    return answer[end + 4 :]


def once(port: int, picture: bytes, query: str = "") -> bytes:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(the_request(picture, query))
        return read_answer(connection)


def a_picture() -> bytes:
    """A photograph with a comment behind it that brings it to the size; a comment is no pixel."""
    photo = (ROOT / "tests" / "photos" / "000000000471.jpg").read_bytes()
    return photo + os.urandom(BODY_BYTES - len(photo))


def start(arguments: list[str], folder: Path, environ: dict[str, str]) -> subprocess.Popen:
    output = (folder / f"{len(list(folder.iterdir()))}.log").open("w")
    return subprocess.Popen([sys.executable, *arguments], cwd=folder, env=clean_environ(**environ), stdout=output, stderr=subprocess.STDOUT)


def wait_for(port: int, path: str, text: bytes) -> None:
    give_up_at = time.monotonic() + 60
    while time.monotonic() < give_up_at:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
                connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
                answer = b""
                while part := connection.recv(65536):
                    answer += part
            if text in answer:
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"nobody is ready on {port}")


def cpu_s(pid: int) -> float:
    """Of a process and its children."""
    ticks = 0
    for one in (pid, *Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def the_key(redis_url: str) -> str:
    (key,) = client_of(redis_url, 1, decode_responses=True).keys("vg:1:b:*")
    return key


def serve_floor(port: int, redis_url: str, prefix: str) -> None:
    """The floor: what a hit can't do without."""

    class Floor(Resource):
        def post(self) -> Response:
            digest = hashlib.sha256(request.get_data(cache=False)).hexdigest()
            return Response(client.get(prefix + digest), mimetype="application/json")

    class FloorServer(GatewayServer):
        def load(self) -> Flask:
            nonlocal client
            client = client_of(redis_url, THREADS + 8)
            client.connection_pool.connection_kwargs.update(socket_timeout=10, socket_connect_timeout=10)  # it knows no way without
            app = Flask("floor")
            Api(app).add_resource(Floor, "/v1/detections")
            return app

    client = None
    FloorServer(replace(Settings(), port=port, workers=WORKERS, threads=THREADS), NumbersFolder(Path("floor"))).run()


if __name__ == "__main__":
    main()
