"""The model server: the Open Inference Protocol v2 over HTTP, as an ASGI application. `local_model.__main__` serves it.

Inputs, one of them:
    pixels   UINT8 [height, width, 3]   upright RGB
    image    BYTES [1]                  an encoded picture; EXIF's orientation is applied
Outputs:
    boxes    FP32 [K, 4]                x_min y_min x_max y_max as fractions of the picture, best first
    scores   FP32 [K]                   above 0.05
    classes  BYTES [K]                  names
The request parameter `timeout`, in microseconds as at Triton, drops the picture when its time is over. The answer's parameter
`machine_us` tells how long the machine worked for this picture alone: its share of its batch.

Several models or versions may be served side by side, each at its own address. `POST /v2/repository/models/NAME/load`, as at Triton,
reads the weights' files again; on a Unix socket only, whose owner alone reaches it. Elsewhere SIGHUP does.
Source: https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_model_repository.md
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule

from local_model import metrics
from local_model.batching import Expired, Overloaded
from local_model.models import Load, Loading, Models, NoSuchModel, Served
from local_model.preprocess import BadPicture, Pixels
from local_model.tensors import HEAD_LENGTH, BadRequest, Tensor, read_request, wanted_in_binary, write_response

log = logging.getLogger(__name__)

BODY_BYTES_MAX = 64 * 1024 * 1024
"""22 million pixels as they are. The gateway's client halves what is larger; encoded pictures are far smaller."""

OUTPUTS = {"boxes", "scores", "classes"}

_ROUTES = Map(
    [
        Rule("/v2", endpoint="server", methods=["GET"]),
        Rule("/v2/health", endpoint="ready", methods=["GET"]),
        Rule("/v2/health/live", endpoint="live", methods=["GET"]),
        Rule("/v2/health/ready", endpoint="ready", methods=["GET"]),
        Rule("/v2/repository/index", endpoint="index", methods=["GET", "POST"]),
        Rule("/v2/repository/models/<name>/load", endpoint="load", methods=["POST"]),
        Rule("/metrics", endpoint="metrics", methods=["GET"]),
        *(
            Rule(f"/v2/models/<name>{version}{what}", endpoint=endpoint, methods=[method])
            for version in ("", "/versions/<version>")
            for what, endpoint, method in (("", "metadata", "GET"), ("/ready", "model_ready", "GET"), ("/infer", "infer", "POST"))
        ),
    ],
    strict_slashes=False,
).bind("model")


class ReloadForbidden(Exception):
    """Asked from a network that anybody may be on."""


class TooLarge(Exception):
    """A body of more than `BODY_BYTES_MAX`."""


class Asked(NamedTuple):
    """One request. The names of its headers are in small letters; its body is read when it is called for."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Callable[[], Awaitable[bytes]]


class Answer(NamedTuple):
    """What is told back."""

    status: int
    content: bytes
    headers: Mapping[str, str]


_STATUS: dict[type[Exception], int] = {
    BadRequest: 400,
    BadPicture: 400,
    ReloadForbidden: 403,
    NoSuchModel: 404,
    TooLarge: 413,
    Loading: 503,
    Overloaded: 503,
    Expired: 504,
}


class Server:
    """The ASGI application. Models are loaded in a thread of their own, so that it is alive, and says it is not ready, at once.

    Args:
        loads: makes each predictor, the default one first.
        may_reload: whether a request may have the weights read again.
        settings: of `batching.Batcher`.

    Attributes:
        busy: requests that are being answered now.
    """

    def __init__(self, loads: Sequence[Load], *, may_reload: bool = False, **settings: Any) -> None:
        self.models = Models(loads, **settings)
        self.busy = 0
        self._may_reload = may_reload
        self._started = time.monotonic()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """ASGI. What an answer left unread of the body is read after it, so that its connection serves the next request."""
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        body = _Body(receive)
        self.busy += 1
        try:
            answer = await self.answer(Asked(scope["method"], scope["path"], headers, body.whole))
            told = {**answer.headers, "Content-Length": str(len(answer.content))}
            lines = [(name.encode(), value.encode()) for name, value in told.items()]
            await send({"type": "http.response.start", "status": answer.status, "headers": lines})
            await send({"type": "http.response.body", "body": answer.content})
        finally:
            self.busy -= 1
        with suppress(BadRequest):  # the client has gone
            await body.rest()

    async def answer(self, asked: Asked) -> Answer:
        """One request's answer; never raises."""
        try:
            endpoint, arguments = _ROUTES.match(asked.path, asked.method)
            return await getattr(self, f"_{endpoint}")(asked, **arguments)  # type: ignore[no-any-return]
        except tuple(_STATUS) as error:
            return _error(next(status for kind, status in _STATUS.items() if isinstance(error, kind)), str(error))
        except HTTPException as error:
            return _error(error.code or 500, error.description or error.name)
        except Exception as error:
            log.exception("inference.failed")
            return _error(500, f"The model failed: {error}")

    def close(self) -> None:
        """Answer what waits, and stop."""
        self.models.close()

    async def _live(self, asked: Asked) -> Answer:  # noqa: ARG002 -- all routes are called alike
        return _json({"live": True})

    async def _ready(self, asked: Asked) -> Answer:  # noqa: ARG002
        self.models.all()
        return _json({"ready": True})

    async def _model_ready(self, asked: Asked, name: str, version: str | None = None) -> Answer:  # noqa: ARG002
        self.models.find(name, version)
        return _json({"name": name, "ready": True})

    async def _server(self, asked: Asked) -> Answer:  # noqa: ARG002
        return _json({"name": "vision-gateway-model", "version": "2", "extensions": ["binary_tensor_data", "model_repository"]})

    async def _index(self, asked: Asked) -> Answer:  # noqa: ARG002
        return _json([_state(one) for one in self.models.all()])

    async def _load(self, asked: Asked, name: str) -> Answer:  # noqa: ARG002
        if not self._may_reload:
            raise ReloadForbidden("Weights are reloaded by SIGHUP, or by a request on the Unix socket.")
        self.models.find(name)
        return _json([_state(one) for one in await asyncio.to_thread(self.models.reload)])

    async def _metadata(self, asked: Asked, name: str, version: str | None = None) -> Answer:  # noqa: ARG002
        self.models.find(name, version)
        return _json(
            {
                "name": name,
                "versions": [one.predictor.version for one in reversed(self.models.all()) if one.predictor.name == name],  # default last
                "platform": "pytorch",
                "inputs": [
                    {"name": "pixels", "datatype": "UINT8", "shape": [-1, -1, 3]},
                    {"name": "image", "datatype": "BYTES", "shape": [1]},
                ],
                "outputs": [
                    {"name": "boxes", "datatype": "FP32", "shape": [-1, 4]},
                    {"name": "scores", "datatype": "FP32", "shape": [-1]},
                    {"name": "classes", "datatype": "BYTES", "shape": [-1]},
                ],
            }
        )

    async def _infer(self, asked: Asked, name: str, version: str | None = None) -> Answer:
        came = time.monotonic()
        self.models.find(name, version).batcher.refuse_if_full()  # before the body is read
        told, tensors = read_request(await asked.body(), asked.headers.get(HEAD_LENGTH.lower()))
        binary = wanted_in_binary(told, OUTPUTS)
        served, seen = await self.models.predicted(name, version, _picture(tensors), _deadline(told, came))
        count = len(seen.labels)
        outputs = [
            Tensor("boxes", "FP32", (count, 4), seen.boxes),
            Tensor("scores", "FP32", (count,), seen.confidences),
            Tensor("classes", "BYTES", (count,), [label.encode() for label in seen.labels]),
        ]
        head = {
            "model_name": served.predictor.name,
            "model_version": served.predictor.version,
            "parameters": {"machine_us": seen.machine_us},
        }
        if "id" in told:
            head["id"] = told["id"]
        body, head_length = write_response(head, outputs, binary)
        if head_length is None:
            return Answer(200, body, _JSON)
        return Answer(200, body, {"Content-Type": "application/octet-stream", HEAD_LENGTH: str(head_length)})

    async def _metrics(self, asked: Asked) -> Answer:  # noqa: ARG002
        told = metrics.text(
            self.models.all(),
            up_s=time.monotonic() - self._started,
            reloads=self.models.reloads,
            reloads_failed=self.models.reloads_failed,
        )
        return Answer(200, told.encode(), {"Content-Type": "text/plain; version=0.0.4"})


class _Body:
    """Of one request, as it comes."""

    def __init__(self, receive: Any) -> None:
        self._receive = receive
        self._more = True

    async def whole(self) -> bytes:
        """All of it.

        Raises:
            TooLarge: it is; then the rest is not read either, and the connection ends.
            BadRequest: the client has gone.
        """
        pieces, size = [], 0
        async for piece in self._pieces():
            pieces.append(piece)
            size += len(piece)
            if size > BODY_BYTES_MAX:
                self._more = False
                raise TooLarge(f"The body has more than {BODY_BYTES_MAX} bytes.")
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def rest(self) -> None:
        """Read away what nobody has called for."""
        async for _ in self._pieces():
            pass

    async def _pieces(self) -> AsyncIterator[bytes]:
        while self._more:
            message = await self._receive()
            self._more = message.get("more_body", False)
            if message["type"] != "http.request":
                raise BadRequest("The client has gone.")
            yield message["body"]


def _picture(tensors: dict[str, Tensor]) -> Pixels | bytes:
    if set(tensors) == {"pixels"} and tensors["pixels"].datatype == "UINT8":
        pixels: Any = tensors["pixels"].values
        return np.asarray(pixels)
    if set(tensors) == {"image"} and isinstance(tensors["image"].values, list) and len(tensors["image"].values) == 1:
        return tensors["image"].values[0]
    raise BadRequest("Send one input: pixels, UINT8 [height, width, 3], or image, BYTES [1].")


def _state(one: Served) -> dict[str, str]:
    return {"name": one.predictor.name, "version": one.predictor.version, "state": "READY"}


def _deadline(told: dict[str, Any], came: float) -> float | None:
    parameters = told.get("parameters") or {}
    timeout = parameters.get("timeout") if isinstance(parameters, dict) else None
    if timeout is None:
        return None
    if type(timeout) is not int or timeout <= 0:
        raise BadRequest(f"timeout is {timeout!r}; it is a number of microseconds above 0.")
    return came + timeout / 1e6


_JSON = {"Content-Type": "application/json"}


def _json(content: Any) -> Answer:
    return Answer(200, json.dumps(content).encode(), _JSON)


def _error(status: int, message: str) -> Answer:
    return Answer(status, json.dumps({"error": message}).encode(), _JSON)
