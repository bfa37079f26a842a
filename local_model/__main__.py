"""`python -m local_model [--bind unix:PATH | HOST:PORT]`: the model server.

One process answers requests. On a GPU it computes, too; on CPUs that is for a process a core beside it, where memory holds them.
SIGHUP has it read the weights' files again and take them in without losing a request.
"""

import argparse
import asyncio
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
from gunicorn.workers.gasgi import ASGIWorker

from local_model.cores import cores, gpu_here
from local_model.lane_processes import LaneProcesses
from local_model.lifetime import die_with_parent
from local_model.memory import a_process_a_core_fits, use_few_heaps
from local_model.models import Loading
from local_model.server import Server


class _Arbiter(Arbiter):  # type: ignore[misc]
    """gunicorn's master process. Its SIGHUP would start a worker with a cold model; ours has the warm one take new weights in."""

    def handle_hup(self) -> None:
        """Pass it on."""
        self.kill_workers(signal.SIGHUP)


class _Worker(ASGIWorker):  # type: ignore[misc]
    """gunicorn's worker on an event loop. When it ends it answers what it has taken, but does not wait for connections at rest."""

    async def _serve(self) -> None:
        self._serving = asyncio.current_task()
        await super()._serve()

    def handle_exit_signal(self) -> None:
        """At once, and not with the next heartbeat: it sleeps for a second between two."""
        if self.alive and self.servers and self._serving:
            self._serving.cancel()
        super().handle_exit_signal()

    async def _shutdown(self) -> None:
        for server in self.servers:
            server.close()
        give_up = self.loop.time() + self.cfg.graceful_timeout
        while self.asgi.busy and self.loop.time() < give_up:
            await asyncio.sleep(0.02)
        self._quick_shutdown = True
        await super()._shutdown()


class _Application(BaseApplication):  # type: ignore[misc]
    """gunicorn, configured from here and from nowhere else."""

    def __init__(self, bind: str, weights: list[Path]) -> None:
        self._bind = bind
        self._weights = weights
        super().__init__()

    def load_config(self) -> None:
        settings: dict[str, Any] = {
            "bind": self._bind,
            "workers": 1,
            "worker_class": _Worker,
            "asgi_lifespan": "off",
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
        loads = [partial(_load, each) for each in weights]
        return Server(loads, may_reload=self._bind.startswith("unix:"))

    def run(self) -> None:
        """Serve until SIGTERM."""
        _Arbiter(self).run()


def _load(weights: Path | None) -> Any:
    if not gpu_here() and a_process_a_core_fits():
        return LaneProcesses(weights, cores())
    from local_model.predictor import Predictor  # noqa: PLC0415

    return Predictor.load(weights=weights)


def _reload_on_hangup(worker: Any) -> None:
    def reload() -> None:
        threading.Thread(target=_reload, args=(worker.asgi,), name="reload-model", daemon=True).start()

    worker.loop.add_signal_handler(signal.SIGHUP, reload)


def _reload(server: Server) -> None:
    with suppress(Loading):  # told in the log
        server.models.reload()


def _stop(_arbiter: Any, worker: Any) -> None:
    if isinstance(worker.asgi, Server):
        worker.asgi.close()


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
    arguments = parser.parse_args()
    use_few_heaps()
    if os.environ.get("DIE_WITH_PARENT") == "1":
        die_with_parent()
    if arguments.bind.startswith("unix:"):
        _make_way(arguments.bind)
    _Application(arguments.bind, arguments.weights).run()


if __name__ == "__main__":
    main()
