"""The model server on a fleet: the same predictor, batcher and protocol as a Ray Serve deployment. Needs the extra `[ray]`.

    serve run local_model.ray_app:app                                    one replica a GPU, as many as the load wants
    serve run local_model.ray_app:app device=cpu replicas=2 cores=1      two replicas on the cores of this machine
    serve run local_model.ray_app:app weights=/models/mine.toml          another detector

Ray adds and removes replicas by their ongoing requests; one that goes is drained first, one that dies is replaced, and what was sent to
it fails at the client, which asks elsewhere. New weights: give `weights` another path and deploy again; each replica loads them beside the
old ones and loses no request. `docs/fleet.md` is the page on it.
Source: https://docs.ray.io/en/latest/serve/api/index.html
"""

from pathlib import Path
from typing import Any

from ray import serve
from starlette.requests import Request
from starlette.responses import Response

from local_model.models import Loading, Served
from local_model.server import Asked, Server

_CALLERS = 256
"""Requests at a replica at once: more than its queue and a batch, so that it is the queue that refuses, and at once."""


class Replica:
    """One process with one model. Its server answers as it does under gunicorn."""

    def __init__(self, device: str | None, cores: int) -> None:
        self._device, self._cores = device, cores
        self._weights: Path | None = None
        self._server = Server([self._load], lanes=cores) if device == "cpu" else Server([self._load])

    def reconfigure(self, config: dict[str, Any]) -> None:
        """Called by Ray at the start, and when `weights` have changed: the new ones are loaded beside the old ones, then take over."""
        weights = Path(config["weights"]) if config.get("weights") else None
        self._server.models.wait_until_loaded()
        if weights == self._weights:
            return
        before, self._weights = self._weights, weights
        try:
            self._server.models.reload()
        except Loading:
            self._weights = before
            raise

    async def __call__(self, request: Request) -> Response:
        """One HTTP request."""
        answer = await self._server.answer(Asked(request.method, request.url.path, request.headers, request.body))
        return Response(answer.content, answer.status, answer.headers)

    def check_health(self) -> None:
        """Called by Ray; a replica that raises is replaced."""
        self.models()

    def models(self) -> tuple[Served, ...]:
        """What it serves."""
        return self._server.models.all()

    def _load(self) -> Any:
        from local_model.predictor import Predictor  # noqa: PLC0415 -- torch, in the replica only

        return Predictor.load(device=self._device, weights=self._weights)


def app(arguments: dict[str, str]) -> Any:
    """The application that `serve run` and a Serve config file name.

    Args:
        arguments: `device`; `weights`, a TOML path that each node can read; `cores` of a replica on CPUs; `replicas`, so many and no more;
            otherwise `replicas_min` (1) to `replicas_max` (8), by load.
    """
    cpu = arguments.get("device") == "cpu"
    cores = int(arguments.get("cores", "1"))
    busy = 12 if cpu else 48  # requests in a replica: a batch and a half, so that its queue is never empty and never long
    options: dict[str, Any] = {
        "ray_actor_options": {"num_cpus": cores} if cpu else {"num_cpus": 2, "num_gpus": 1},
        "max_ongoing_requests": _CALLERS,
        "max_queued_requests": _CALLERS,
        "user_config": {"weights": arguments.get("weights")},
        "health_check_period_s": 2,
        "health_check_timeout_s": 10,
        "graceful_shutdown_wait_loop_s": 1,
        "graceful_shutdown_timeout_s": 30,
    }
    if "replicas" in arguments:
        options["num_replicas"] = int(arguments["replicas"])
    else:
        options["autoscaling_config"] = {
            "min_replicas": int(arguments.get("replicas_min", "1")),
            "max_replicas": int(arguments.get("replicas_max", "8")),
            "target_ongoing_requests": busy,
            "upscale_delay_s": 5,
            "downscale_delay_s": 300,
        }
    return serve.deployment(Replica, name="model", **options).bind(arguments.get("device"), cores)
