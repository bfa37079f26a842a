"""`python -m local_model [--bind unix:PATH | HOST:PORT]`: the model server, in one process with many threads.

SIGHUP has it read the weights' files again and take them in without losing a request.
"""

import argparse
import os
import signal
import socket
import sys
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from local_model.cores import cores
from local_model.lifetime import die_with_parent
from local_model.memory import use_few_heaps
from local_model.models import Loading
from local_model.server import Server

THREADS = 256 + 16 * cores()
"""Callers that wait, started as they are needed: more than a GPU's queue and batches hold, or two batches for each lane of a CPU beside its
queue, so that it is the queue that refuses, and at once."""


class _Arbiter(Arbiter):  # type: ignore[misc]
    """gunicorn's master process. Its SIGHUP would start a worker with a cold model; ours has the warm one take new weights in."""

    def handle_hup(self) -> None:
        """Pass it on."""
        self.kill_workers(signal.SIGHUP)


class _Application(BaseApplication):  # type: ignore[misc]
    """gunicorn, configured from here and from nowhere else."""

    def __init__(self, bind: str, weights: list[Path], *, compiled: bool) -> None:
        self._bind = bind
        self._weights = weights
        self._compiled = compiled
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
            "post_worker_init": _reload_on_hangup,
            "worker_exit": _stop,
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> Server:
        """In the worker, after the fork: torch's threads do not survive one."""
        weights: list[Path | None] = [*self._weights] or [None]
        loads = [partial(_load, each, self._compiled) for each in weights]
        return Server(loads, may_reload=self._bind.startswith("unix:"))

    def run(self) -> None:
        """Serve until SIGTERM."""
        _Arbiter(self).run()


def _load(weights: Path | None, compiled: bool) -> Any:
    from local_model.predictor import Predictor  # noqa: PLC0415

    predictor = Predictor.load(weights=weights)
    if compiled:
        predictor.compile()
    return predictor


def _reload_on_hangup(worker: Any) -> None:
    def reload(_signal: int, _frame: Any) -> None:
        threading.Thread(target=_reload, args=(worker.wsgi,), name="reload-model", daemon=True).start()

    signal.signal(signal.SIGHUP, reload)
    signal.siginterrupt(signal.SIGHUP, False)


def _reload(server: Server) -> None:
    with suppress(Loading):  # told in the log
        server.models.reload()


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
    parser.add_argument(
        "--weights",
        type=Path,
        action="append",
        default=[],
        help="a TOML file that describes another detector (see local_model/detector.py); several stand side by side, the first by default",
    )
    parser.add_argument(
        "--compile", action="store_true", help="let torch compile the network beside the work: minutes of a core, then faster"
    )
    arguments = parser.parse_args()
    use_few_heaps()
    if os.environ.get("DIE_WITH_PARENT") == "1":
        die_with_parent()
    if arguments.bind.startswith("unix:"):
        _make_way(arguments.bind)
    _Application(arguments.bind, arguments.weights, compiled=arguments.compile).run()


if __name__ == "__main__":
    main()
