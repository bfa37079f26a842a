"""The model server: the Open Inference Protocol v2 over HTTP, as a WSGI application. `local_model.__main__` serves it.

Inputs, one of them:
    pixels   UINT8 [height, width, 3]   upright RGB
    image    BYTES [1]                  an encoded picture; EXIF's orientation is applied
Outputs:
    boxes    FP32 [K, 4]                x_min y_min x_max y_max as fractions of the picture, best first
    scores   FP32 [K]                   above 0.05
    classes  BYTES [K]                  names
The request parameter `timeout`, in microseconds as at Triton, drops the picture when its time is over.
"""

import io
import json
import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageOps
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from local_model.batching import Batcher, Expired, Overloaded
from local_model.preprocess import BadPicture, Pixels
from local_model.tensors import HEAD_LENGTH, BadRequest, Tensor, read_request, wanted_in_binary, write_response

log = logging.getLogger(__name__)

BODY_BYTES_MAX = 64 * 1024 * 1024
PIXELS_MAX = 75_000_000
FORMATS = ("JPEG", "PNG", "WEBP")
OUTPUTS = {"boxes", "scores", "classes"}

_ROUTES = Map(
    [
        Rule("/v2", endpoint="server", methods=["GET"]),
        Rule("/v2/health/live", endpoint="live", methods=["GET"]),
        Rule("/v2/health/ready", endpoint="ready", methods=["GET"]),
        Rule("/metrics", endpoint="metrics", methods=["GET"]),
        *(
            Rule(f"/v2/models/<name>{version}{what}", endpoint=endpoint, methods=[method])
            for version in ("", "/versions/<version>")
            for what, endpoint, method in (("", "metadata", "GET"), ("/ready", "model_ready", "GET"), ("/infer", "infer", "POST"))
        ),
    ],
    strict_slashes=False,
)


class NoSuchModel(Exception):
    """Another name or version than the one that is served."""


class Loading(Exception):
    """The model is not there yet, or can't be loaded."""


_STATUS: dict[type[Exception], int] = {
    BadRequest: 400,
    BadPicture: 400,
    NoSuchModel: 404,
    RequestEntityTooLarge: 413,
    Loading: 503,
    Overloaded: 503,
    Expired: 504,
}


class Server:
    """The WSGI application. The model is loaded in a thread of its own, so that the server is alive, and says it is not ready, at once.

    Args:
        load: makes the predictor; run once.
        settings: of `batching.Batcher`.
    """

    def __init__(self, load: Callable[[], Any], **settings: Any) -> None:
        self._loading: Future[tuple[Any, Batcher]] = Future()
        self._settings = settings
        self._started = time.monotonic()
        threading.Thread(target=self._load, args=(load,), name="load-model", daemon=True).start()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """WSGI."""
        request = Request(environ)
        request.max_content_length = BODY_BYTES_MAX
        return self._answer(request)(environ, start_response)

    def close(self) -> None:
        """Answer what waits, and stop."""
        if self._loading.done() and self._loading.exception() is None:
            self._loading.result()[1].close()

    def _load(self, load: Callable[[], Any]) -> None:
        try:
            predictor = load()
            predictor.warm()
            self._loading.set_result((predictor, Batcher(predictor, **self._settings)))
            log.info("model.ready", extra={"model": predictor.model})
        except Exception as error:
            log.exception("model.not_loaded")
            self._loading.set_exception(error)

    def _answer(self, request: Request) -> Response:
        try:
            endpoint, arguments = _ROUTES.bind_to_environ(request.environ).match()
            return getattr(self, f"_{endpoint}")(request, **arguments)  # type: ignore[no-any-return]
        except tuple(_STATUS) as error:
            return _error(_STATUS[type(error)], str(error))
        except HTTPException as error:
            return _error(error.code or 500, error.description or error.name)
        except Exception as error:
            log.exception("inference.failed")
            return _error(500, f"The model failed: {error}")

    def _model(self, name: str | None = None, version: str | None = None) -> tuple[Any, Batcher]:
        if not self._loading.done():
            raise Loading("The model is still loading.")
        if (error := self._loading.exception()) is not None:
            raise Loading(f"The model can't be loaded: {error}")
        predictor, batcher = self._loading.result()
        if name not in {None, predictor.name} or version not in {None, predictor.version}:
            raise NoSuchModel(f"There is no model {name!r}{f' version {version!r}' if version else ''} here; there is {predictor.model}.")
        return predictor, batcher

    def _live(self, request: Request) -> Response:  # noqa: ARG002 -- all routes are called alike
        return _json({"live": True})

    def _ready(self, request: Request) -> Response:  # noqa: ARG002
        self._model()
        return _json({"ready": True})

    def _model_ready(self, request: Request, name: str, version: str | None = None) -> Response:  # noqa: ARG002
        self._model(name, version)
        return _json({"name": name, "ready": True})

    def _server(self, request: Request) -> Response:  # noqa: ARG002
        return _json({"name": "vision-gateway-model", "version": "2", "extensions": ["binary_tensor_data"]})

    def _metadata(self, request: Request, name: str, version: str | None = None) -> Response:  # noqa: ARG002
        predictor, _ = self._model(name, version)
        return _json(
            {
                "name": predictor.name,
                "versions": [predictor.version],
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

    def _infer(self, request: Request, name: str, version: str | None = None) -> Response:
        came = time.monotonic()
        predictor, batcher = self._model(name, version)
        told, tensors = read_request(request.get_data(cache=False), request.headers.get(HEAD_LENGTH))
        binary = wanted_in_binary(told, OUTPUTS)
        seen = batcher.predict(_picture(tensors), _deadline(told, came))
        count = len(seen.labels)
        outputs = [
            Tensor("boxes", "FP32", (count, 4), seen.boxes),
            Tensor("scores", "FP32", (count,), seen.confidences),
            Tensor("classes", "BYTES", (count,), [label.encode() for label in seen.labels]),
        ]
        head = {"model_name": predictor.name, "model_version": predictor.version, "parameters": {"machine_us": seen.machine_us}}
        if "id" in told:
            head["id"] = told["id"]
        body, head_length = write_response(head, outputs, binary)
        if head_length is None:
            return Response(body, mimetype="application/json")
        return Response(body, mimetype="application/octet-stream", headers={HEAD_LENGTH: str(head_length)})

    def _metrics(self, request: Request) -> Response:  # noqa: ARG002
        _, batcher = self._model()
        counts = batcher.counts
        values = {
            "model_images_total": counts.images,
            "model_batches_total": counts.batches,
            "model_failed_total": counts.failed,
            "model_expired_total": counts.expired,
            "model_overloaded_total": counts.overloaded,
            "model_queue_seconds_total": counts.queue_s,
            "model_forward_seconds_total": counts.forward_s,
            "model_up_seconds_total": time.monotonic() - self._started,
        }
        lines = [f"# TYPE {name} counter\n{name} {value}\n" for name, value in values.items()]
        lines.append(f"# TYPE model_waiting gauge\nmodel_waiting {batcher.waiting}\n")
        return Response("".join(lines), content_type="text/plain; version=0.0.4")


def _picture(tensors: dict[str, Tensor]) -> Pixels:
    if set(tensors) == {"pixels"} and tensors["pixels"].datatype == "UINT8":
        pixels: Any = tensors["pixels"].values
        return np.asarray(pixels)
    if set(tensors) == {"image"} and isinstance(tensors["image"].values, list) and len(tensors["image"].values) == 1:
        return decoded(tensors["image"].values[0])
    raise BadRequest("Send one input: pixels, UINT8 [height, width, 3], or image, BYTES [1].")


def decoded(content: bytes) -> Pixels:
    """An encoded picture as upright RGB.

    Raises:
        BadPicture: not one of `FORMATS`, damaged, or more than 75 million pixels.
    """
    try:
        with PIL.Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            if picture.width * picture.height <= PIXELS_MAX:
                picture.draft("RGB", (832, 832))
                return np.asarray(PIL.ImageOps.exif_transpose(picture).convert("RGB"))
    except Exception as error:  # decoders raise nearly everything
        raise BadPicture(f"The picture can't be decoded: {error}.") from error
    raise BadPicture(f"The picture is {picture.width} x {picture.height} pixels; at most {PIXELS_MAX} in all are taken.")


def _deadline(told: dict[str, Any], came: float) -> float | None:
    timeout = told.get("parameters", {}).get("timeout")
    if timeout is None:
        return None
    if type(timeout) is not int or timeout <= 0:
        raise BadRequest(f"timeout is {timeout!r}; it is a number of microseconds above 0.")
    return came + timeout / 1e6


def _json(content: dict[str, Any]) -> Response:
    return Response(json.dumps(content), mimetype="application/json")


def _error(status: int, message: str) -> Response:
    return Response(json.dumps({"error": message}), status, mimetype="application/json")
