"""Serving the gateway with gunicorn: one process or several, many threads each, everything that holds a connection made after fork."""

import os
import sys
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker

from gateway.app import create_app
from gateway.cache.valkey import Valkey
from gateway.logs import JsonFormatter, log_as_json
from gateway.monitoring.folder import NumbersFolder
from gateway.settings import Settings

_GRACE_S = 30
"""Seconds that running requests have after SIGTERM."""


class GatewayServer(BaseApplication):
    """Gunicorn, configured from our settings alone: no configuration file and no GUNICORN_CMD_ARGS."""

    def __init__(self, settings: Settings, numbers: NumbersFolder, valkey: Valkey | None = None) -> None:
        """Serve, count in this folder, and keep the embedded server running meanwhile, if there is one."""
        self._settings = settings
        self._numbers = numbers
        self._valkey = valkey
        super().__init__()

    def run(self) -> None:
        """Serve until stopped."""
        try:
            _Arbiter(self, self._valkey).run()
        except RuntimeError as error:
            sys.exit(f"Error: {error}")

    def load_config(self) -> None:
        """Gunicorn's hook: the whole configuration."""
        settings = self._settings
        options: dict[str, Any] = {
            "bind": f"[{settings.bind}]:{settings.port}" if ":" in settings.bind else f"{settings.bind}:{settings.port}",
            "workers": settings.workers,
            "threads": settings.threads,
            "worker_class": "gthread",
            "worker_connections": max(1000, settings.threads),
            "graceful_timeout": _GRACE_S,
            "timeout": 120,
            "keepalive": 5,
            "preload_app": False,
            "control_socket_disable": True,
            "worker_tmp_dir": "/dev/shm" if os.path.isdir("/dev/shm") else None,  # noqa: PTH112, S108 -- a heartbeat file, not data
            "worker_exit": _close_parts,
            "child_exit": self._forget_worker,
            "on_exit": lambda _arbiter: self._numbers.remove(),
            "loglevel": "warning",
            "logger_class": _Log,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Gunicorn's hook: the application, made in the worker."""
        log_as_json()
        self.app = create_app(self._settings)
        return self.app

    def _forget_worker(self, _arbiter: Arbiter, worker: Worker) -> None:
        """Gunicorn's hook, in the parent of the worker that has ended."""
        self._numbers.forget_process(worker.pid)


class _Log(Logger):
    """What gunicorn has to say, such as of a request that is no HTTP, as JSON lines. Its own tell the process, which records leave out."""

    def setup(self, cfg: Any) -> None:
        """Gunicorn's hook."""
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(JsonFormatter())


class _Arbiter(Arbiter):
    """Gunicorn's parent process. Its only thread has started Valkey, which dies with it; about once a second it looks after it."""

    def __init__(self, app: GatewayServer, valkey: Valkey | None) -> None:
        self._valkey = valkey
        super().__init__(app)

    def manage_workers(self) -> None:
        """Gunicorn's hook, called at least once a second."""
        if self._valkey is not None:
            self._valkey.keep_running()
        super().manage_workers()


def _close_parts(_arbiter: Arbiter, worker: Worker) -> None:
    app = getattr(worker.app, "app", None)
    if app is not None:
        app.extensions["gateway"].close()
