"""`python -m local_model [--bind unix:PATH | HOST:PORT]`: the model server, in one process with many threads."""

import argparse
import os
import socket
import sys
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication

from local_model.lifetime import die_with_parent
from local_model.memory import use_few_arenas
from local_model.server import Server

THREADS = 64
"""Callers that letterbox or wait: more than the batcher's queue and two batches, so that it is the queue that refuses, and at once."""


class _Application(BaseApplication):  # type: ignore[misc]
    """gunicorn, configured from here and from nowhere else."""

    def __init__(self, bind: str, weights: Path | None) -> None:
        self._bind = bind
        self._weights = weights
        super().__init__()

    def load_config(self) -> None:
        settings: dict[str, Any] = {
            "bind": self._bind,
            "workers": 1,
            "worker_class": "gthread",
            "threads": THREADS,
            "timeout": 60,
            "graceful_timeout": 10,
            "keepalive": 75,  # longer than clients keep a resting connection, so that none is closed under a request
            "umask": 0o077,  # the Unix socket is ours alone
            "control_socket_disable": True,
            "post_fork": lambda _arbiter, _worker: die_with_parent(),
            "worker_exit": _stop,
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> Server:
        """In the worker, after the fork: torch's threads do not survive one."""
        from local_model.predictor import Predictor  # noqa: PLC0415

        return Server(lambda: Predictor.load(weights=self._weights))


def _stop(_arbiter: Any, worker: Any) -> None:
    if isinstance(worker.wsgi, Server):
        worker.wsgi.close()


def _make_way(bind: str) -> None:
    """A socket file that a killed run left is removed; one that somebody listens on is not."""
    path = Path(bind.removeprefix("unix:"))
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        else:
            sys.exit(f"Somebody listens on {path} already.")


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m local_model", description=__doc__)
    parser.add_argument("--bind", default=os.environ.get("MODEL_BIND", "unix:var/model.sock"), help="unix:PATH or HOST:PORT")
    parser.add_argument("--weights", type=Path, help="a TOML file that describes another detector (see local_model/detector.py)")
    arguments = parser.parse_args()
    use_few_arenas()
    if os.environ.get("DIE_WITH_PARENT") == "1":
        die_with_parent()
    if arguments.bind.startswith("unix:"):
        _make_way(arguments.bind)
    _Application(arguments.bind, arguments.weights).run()


if __name__ == "__main__":
    main()
