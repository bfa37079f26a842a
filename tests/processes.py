"""Starting the real thing in tests: a process, its address, and what it said."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
ADMIN = "operators-own-key"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def clean_environ(**more: str) -> dict[str, str]:
    """The environment of a machine that knows nothing of us, but for where Python finds the project."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GATEWAY_", "PORT", "AWS_", "GOOGLE_", "MODEL_"))}
    return kept | {"PYTHONPATH": str(ROOT)} | more


def family(pid: int) -> list[int]:
    """A process, and all that it and its children have started."""
    told = [file.read_text().split() for file in Path(f"/proc/{pid}/task").glob("*/children")]
    return [pid, *(member for children in told for child in children for member in family(int(child)))]


class Running:
    """A process of ours, its address and its output."""

    def __init__(self, process: subprocess.Popen, port: int, output: Path) -> None:
        self.process, self.port, self.output = process, port, output
        self.address = f"http://127.0.0.1:{port}"

    def wait_until_ready(self, within_s: float = 60) -> "Running":
        give_up_at = time.monotonic() + within_s
        while time.monotonic() < give_up_at:
            assert self.process.poll() is None, self.output.read_text()
            try:
                with urllib.request.urlopen(f"{self.address}/readyz", timeout=2) as response:
                    if b'"status":"ready"' in response.read():
                        return self
            except OSError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"not ready after {within_s} s: {self.output.read_text()}")

    def wait_until_answering(self, within_s: float = 60) -> "Running":
        """For those who need no provider."""
        give_up_at = time.monotonic() + within_s
        while time.monotonic() < give_up_at:
            assert self.process.poll() is None, self.output.read_text()
            try:
                with urllib.request.urlopen(f"{self.address}/healthz", timeout=2):
                    return self
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"no answer after {within_s} s: {self.output.read_text()}")

    def stop(self, how: int = signal.SIGTERM, within_s: float = 30) -> int:
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(within_s)


@contextmanager
def running(folder: Path, *arguments: str, **environ: str):
    """`vision-gateway ARGUMENTS` in this folder, stopped at the end."""
    port, output = free_port(), folder / "output.txt"
    variables = clean_environ(**{"PORT": str(port), "GATEWAY_ADMIN_KEY": ADMIN} | environ)
    with output.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", *arguments], cwd=folder, env=variables, stdout=out, stderr=subprocess.STDOUT
        )
    server = Running(process, port, output)
    try:
        yield server
    finally:
        if process.poll() is None:
            server.stop()


def processes_with(text: str) -> list[str]:
    """The command lines of processes whose environment or command line holds this text."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if text.encode() in (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes() and entry.name != str(os.getpid()):
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found
