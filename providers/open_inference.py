"""A thin client of the Open Inference Protocol v2 over HTTP, with binary tensors: our own model server, Triton, KServe, Ray Serve.

Sent: `pixels`, UINT8 [height, width, 3], upright RGB. Expected: `boxes` FP32 [K, 4] as fractions, `scores` FP32 [K], `classes` BYTES [K].
The model is the default one, or what the address says: `http://host:8000/v2/models/NAME`.
Source: https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md and
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

import http.client
import json
import re
import threading
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
import PIL.Image
import urllib3
from numpy.typing import NDArray
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ReadTimeoutError, SSLError

from providers.contract import Health
from providers.deadline_sockets import pool_for, until
from providers.errors import (
    ImageRefused,
    ProviderError,
    ProviderFailed,
    ProviderMisconfigured,
    ProviderOverloaded,
    ProviderProtocolError,
    ProviderThrottled,
    ProviderTimeout,
    ProviderUnreachable,
)
from providers.images import Pixels

ANSWER_BYTES_MAX = 4 * 1024 * 1024
"""A thousand boxes are 40 kB. What is longer is no answer."""

_MACHINE_US_MAX = 3_600_000_000
"""An hour: what is more is no time that a picture took."""

_SIDE_ENOUGH = 1664
"""Pixels of the longer side that are always kept: twice what large detectors look at."""

CONNECTIONS = 32
PROBE_EVERY_S = 1.0
_BATCH_FILL = re.compile(r"^model_batch_fill_ratio\{.*\} (\d+(?:\.\d+)?)$", re.MULTILINE)
PROBE_TIMEOUT_S = 0.25

_BY_STATUS: dict[int, type[ProviderError]] = {
    400: ProviderMisconfigured,  # it does not take our tensors: another model than ours
    401: ProviderMisconfigured,
    403: ProviderMisconfigured,
    404: ProviderMisconfigured,
    408: ProviderTimeout,
    413: ImageRefused,
    429: ProviderThrottled,
    503: ProviderOverloaded,
    504: ProviderTimeout,
}


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model server answered: (K, 4) fractions of the picture, (K,) in [0, 1], K names, and which model it was.

    `machine_us`: microseconds that the model worked for this picture alone, where the server tells them (ours does).
    """

    boxes: NDArray[np.float32]
    confidences: NDArray[np.float32]
    labels: tuple[str, ...]
    model: str
    machine_us: int | None = None


class OpenInference:
    """One model on one server. Shared by threads.

    Args:
        url: `unix:PATH`, `http://HOST:PORT` or `https://HOST:PORT`, all with `/v2/models/NAME` or
            `/v2/models/NAME/versions/VERSION` behind it where the model is another than the server's default.
        default_model: its name where the address says none.

    Raises:
        ValueError: another kind of address.
    """

    def __init__(self, url: str, default_model: str) -> None:
        server, _, model = url.rstrip("/").partition("/v2/models/")
        named, _, version = model.partition("/versions/")
        self._pool = pool_for(server, CONNECTIONS)
        self._name, self._version = unquote(named) or default_model, unquote(version)
        self._path = f"/v2/models/{quote(self._name, safe='')}" + (f"/versions/{quote(self._version, safe='')}" if version else "")
        self._model: str | None = None
        self._health = Health(ready=False, detail="Nobody has asked it yet.")
        self._was_late = False
        self._probed_at = float("-inf")
        self._probing = threading.Lock()

    @property
    def model(self) -> str:
        """Name and version, as the server told them last; the bare name before it ever did."""
        if self._model is None:
            self.health()
        return self._model or self._name

    def warm(self) -> None:
        """Nothing to load here: the server loads its model itself."""

    def predict(self, pixels: Pixels, deadline: float) -> Prediction:
        """Send one picture and read its boxes, once, by `deadline` in `time.monotonic()` seconds.

        Raises:
            ProviderError: and nothing else.
        """
        pixels = _shrunk(pixels)
        microseconds = max(int((deadline - time.monotonic()) * 1e6), 1)
        tensor = {"name": "pixels", "datatype": "UINT8", "shape": list(pixels.shape), "parameters": {"binary_data_size": pixels.nbytes}}
        head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True, "timeout": microseconds}}).encode()
        headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}
        response, body = self._ask("POST", f"{self._path}/infer", deadline, headers, head + pixels.tobytes())
        try:
            prediction = parse(body, response.headers.get("Inference-Header-Content-Length"))
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise ProviderProtocolError(f"The model server's answer can't be read: {error}") from error
        self._model = prediction.model
        return prediction

    def batch_fill(self) -> float | None:
        """How full the server's batches are, where it is one of ours and says so at `/metrics`; None elsewhere."""
        try:
            _, body = self._ask("GET", "/metrics", time.monotonic() + PROBE_TIMEOUT_S)
        except ProviderError:
            return None
        found = _BATCH_FILL.search(body.decode(errors="replace"))
        return None if found is None else float(found.group(1))

    def health(self) -> Health:
        """What a readiness probe of the last second has told. One thread probes; the others take what is known."""
        if time.monotonic() - self._probed_at >= PROBE_EVERY_S and self._probing.acquire(blocking=False):
            try:
                self._probe()
            finally:
                self._probed_at = time.monotonic()
                self._probing.release()
        return self._health

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def _probe(self) -> None:
        deadline = time.monotonic() + PROBE_TIMEOUT_S
        try:
            self._ask("GET", f"{self._path}/ready", deadline)
            _, body = self._ask("GET", self._path, deadline)
            told = json.loads(body)
            self._model = _model_of(told["name"], self._version or (told.get("versions") or [""])[-1])
            self._health = Health(ready=True)
            self._was_late = False
        except ProviderTimeout as error:  # of a busy machine, mostly: once it says nothing, and to ask elsewhere would cost money
            if self._was_late or not self._health.ready:
                self._health = Health(ready=False, detail=str(error))
            self._was_late = True
        except ProviderError as error:
            self._health = Health(ready=False, detail=str(error))
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            self._health = Health(ready=False, detail=f"The model server's metadata can't be read: {error}")

    def _ask(
        self, method: str, path: str, deadline: float, headers: dict[str, str] | None = None, body: bytes | None = None
    ) -> tuple[urllib3.BaseHTTPResponse, bytes]:
        """One exchange. Every failure leaves in the words of `providers.errors`."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise ProviderOverloaded("No time was left to ask the model server.")
        response = None
        try:
            with until(deadline):
                response = self._pool.urlopen(
                    method, path, body, headers, retries=False, redirect=False, timeout=left, preload_content=False, decode_content=False
                )
                content = _read(response)
        except HTTPError as error:
            raise _translated(error, deadline, answered=response is not None) from error
        finally:
            if response is not None:
                response.close()  # one that was read to its end has given its connection back already
        if response.status != 200:
            raise _refused(response.status, content)
        return response, content


def _shrunk(pixels: Pixels) -> Pixels:
    """A large picture at a half, a third … of its size: no detector looks at more, and 24 million pixels are 72 MB."""
    factor = max(pixels.shape) // _SIDE_ENOUGH
    return pixels if factor < 2 else np.asarray(PIL.Image.fromarray(pixels).reduce(factor))


def _read(response: urllib3.BaseHTTPResponse) -> bytes:
    content = b""
    while chunk := response.read(65_536):
        content += chunk
        if len(content) > ANSWER_BYTES_MAX:
            raise ProviderProtocolError(f"The model server's answer has more than {ANSWER_BYTES_MAX} bytes.")
    return content


def _translated(error: HTTPError, deadline: float, *, answered: bool) -> ProviderError:
    """urllib3's word for a failure in ours."""
    message = f"The model server: {error}"
    if isinstance(error, NewConnectionError | ConnectTimeoutError | SSLError):
        return ProviderUnreachable(message)
    if isinstance(error, ReadTimeoutError) or time.monotonic() >= deadline:
        return ProviderTimeout("The model server has not answered in time.")
    cause = error.args[-1] if error.args else None
    no_http = isinstance(cause, http.client.HTTPException) and not isinstance(cause, http.client.RemoteDisconnected)
    return ProviderProtocolError(message) if answered or no_http else ProviderFailed(message)


def _refused(status: int, content: bytes) -> ProviderError:
    default = ProviderFailed if status >= 500 else ProviderProtocolError
    said = content[:200].decode("utf-8", "replace")
    return _BY_STATUS.get(status, default)(f"The model server answered {status}: {said}")


def parse(content: bytes, head_length: str | None) -> Prediction:
    """An inference answer's tensors.

    Args:
        content: of the body: JSON, and behind it the binary tensors in the order of its `outputs`.
        head_length: the header that tells where the JSON ends; None: it is all JSON.

    Raises:
        ValueError, KeyError, TypeError, AttributeError, RecursionError: it is no such answer.
    """
    ends = len(content) if head_length is None else int(head_length)
    if not 0 <= ends <= len(content):
        raise ValueError(f"its JSON has {ends} bytes of {len(content)}")
    told = json.loads(content[:ends])
    tensors: dict[str, list[Any] | bytes] = {}
    for output in told["outputs"]:
        size = output.get("parameters", {}).get("binary_data_size")
        if size is None:
            tensors[output["name"]] = output["data"]
            continue
        if not 0 <= size <= len(content) - ends:
            raise ValueError(f"it ends within the tensor {output['name']}")
        tensors[output["name"]] = content[ends : ends + size]
        ends += size
    boxes = _floats(tensors["boxes"]).reshape(-1, 4)
    scores = _floats(tensors["scores"])
    labels = _strings(tensors["classes"])
    if not len(boxes) == len(scores) == len(labels):
        raise ValueError(f"it has {len(boxes)} boxes, {len(scores)} scores and {len(labels)} classes")
    if not (np.isfinite(boxes).all() and ((scores >= 0) & (scores <= 1)).all()):
        raise ValueError("a box is not finite, or a score is not in [0, 1]")
    machine_us = told.get("parameters", {}).get("machine_us")
    if machine_us is not None and not (type(machine_us) is int and 0 <= machine_us <= _MACHINE_US_MAX):
        raise ValueError(f"it says that the model worked {machine_us!r} microseconds")
    return Prediction(boxes, scores, labels, _model_of(told["model_name"], told.get("model_version", "")), machine_us)


def _floats(tensor: list[Any] | bytes) -> NDArray[np.float32]:
    if isinstance(tensor, bytes):
        return np.frombuffer(tensor, "<f4").astype(np.float32)
    return np.array(tensor, np.float32).ravel()


def _strings(tensor: list[Any] | bytes) -> tuple[str, ...]:
    """Names; in binary each is its length in four bytes, little-endian, and then itself in UTF-8."""
    if not isinstance(tensor, bytes):
        return tuple(str(name) for name in tensor)
    names = []
    at = 0
    while at < len(tensor):
        start = at + 4
        at = start + int.from_bytes(tensor[at:start], "little")
        if start > len(tensor) or at > len(tensor):
            raise ValueError("it ends within a name")
        names.append(tensor[start:at].decode())
    return tuple(names)


def _model_of(name: str, version: str) -> str:
    return f"{name} {version}".strip()
