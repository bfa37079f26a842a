"""The whole gateway under load before a stand-in that keeps its own bill: started, asked, killed and started again."""

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.clouds import rekognition
from tests.conftest import PHOTOS
from tests.processes import ADMIN, clean_environ, free_port

PHOTO = min((path.read_bytes() for path in PHOTOS.glob("*.jpg")), key=len)
PRICE_NANOS = 1_000_000
"""Of one DetectLabels, as long as a month has fewer than a million."""


class House:
    """One gateway on a port of its own, with everything it keeps in a folder; it may be killed and started again."""

    def __init__(self, folder: Path, amazon: rekognition.StandIn, **environ: str) -> None:
        self.folder, self.port = folder, free_port()
        self._environ = clean_environ(
            **{"GATEWAY_PROVIDERS": "rekognition", "GATEWAY_WORKERS": "2"} | amazon.environ | environ,
            PORT=str(self.port),
            GATEWAY_ADMIN_KEY=ADMIN,
        )
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(30)

    def start(self) -> None:
        """Start it, in a process group of its own, and wait until it answers."""
        self.process = self._run("serve")
        give_up_at = time.monotonic() + 120
        while self.ask("GET", "/readyz")[0] not in {200, 503}:
            assert self.process.poll() is None, self.output()
            assert time.monotonic() < give_up_at, self.output()
            time.sleep(0.05)

    def workers(self) -> list[int]:
        """Process ids of the workers, as far as they live."""
        try:
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
            return [int(child) for child in children.split() if b"\0serve" in Path(f"/proc/{child}/cmdline").read_bytes()]
        except OSError:
            return []

    def kill(self, whom: str, chance: random.Random) -> None:
        """SIGKILL to a worker, to the master alone, or to all of them at once. A worker comes back by itself; else start it again."""
        if whom == "worker":
            with suppress(OSError, IndexError):
                os.kill(chance.choice(self.workers()), signal.SIGKILL)
            return
        if whom == "master":
            self.process.kill()
        else:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)
        self.start()

    def stop(self) -> None:
        """End it as an operator would."""
        if self.process.poll() is None:
            self.process.terminate()
            assert self.process.wait(60) == 0, self.output()

    def ask(self, method: str, path: str, body: bytes = b"", content_type: str = "application/json") -> tuple[int, dict]:
        """Status and JSON; 0 where nobody answered."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, {"Authorization": f"Bearer {ADMIN}", "Content-Type": content_type})
            response = connection.getresponse()
            return response.status, json.loads(response.read() or b"{}")
        except (OSError, http.client.HTTPException, ValueError):
            return 0, {}
        finally:
            connection.close()

    def verified(self) -> subprocess.CompletedProcess[str]:
        """What `vision-gateway ledger verify` says."""
        return subprocess.run(
            [sys.executable, "-m", "gateway", "ledger", "verify"],
            cwd=self.folder,
            env=self._environ,
            capture_output=True,
            text=True,
            check=False,
        )

    def output(self) -> str:
        """What it has said so far; its end, where that is long."""
        return (self.folder / "output.txt").read_text()[-4000:]

    def _run(self, *arguments: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "gateway", *arguments]
        with (self.folder / "output.txt").open("a") as output:
            return subprocess.Popen(
                command, cwd=self.folder, env=self._environ, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )


class Load:
    """Clients that ask without a pause until they are told to stop, and count what they were told."""

    def __init__(self, house: House, path: str, clients: int) -> None:
        self.statuses: Counter[int] = Counter()
        self._house, self._path = house, path
        self._stop = threading.Event()
        self._clients = [threading.Thread(target=self._ask) for _ in range(clients)]
        for client in self._clients:
            client.start()

    def _ask(self) -> None:
        while not self._stop.is_set():
            status, _ = self._house.ask("POST", self._path, PHOTO, "image/jpeg")
            self.statuses[status] += 1
            if status != 200:
                self._stop.wait(0.02)

    def stop(self) -> None:
        """Let the requests that run end."""
        self._stop.set()
        for client in self._clients:
            client.join()


def nanos(usd: str) -> int:
    whole, _, fraction = usd.partition(".")
    return int(whole) * 10**9 + int(fraction.ljust(9, "0"))
