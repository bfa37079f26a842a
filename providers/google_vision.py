"""Google Cloud Vision over gRPC: objects, labels, faces, text and safe search, in one request with exactly the features asked for.

Source: https://cloud.google.com/vision/docs/reference/rpc/google.cloud.vision.v1
"""

import ipaddress
import math
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from providers.bulkhead import Attempt, Bulkhead
from providers.contract import Answer, BadEnvironment, Call, Feature, Health, Usage
from providers.errors import (
    ImageRefused,
    ProviderError,
    ProviderFailed,
    ProviderMisconfigured,
    ProviderProtocolError,
    ProviderThrottled,
    ProviderTimeout,
    ProviderUnreachable,
)
from providers.formats import format_of, open_picture
from providers.google_vision_answers import IN_PIXELS, MODEL, parse
from providers.images import Image, ImageError
from providers.once import Once
from providers.renewal import Renewal

NAME = "google_vision"

# https://cloud.google.com/vision/docs/supported-files and https://cloud.google.com/vision/quotas. 20 MB an image, but 10 MB a request with
# the picture in base64, which grows by a third and a little.
FORMATS = frozenset({"jpeg", "png"})
CONTENT_BYTES_MAX = 7_000_000
REFERENCED_BYTES_MAX = 20_000_000
PIXELS_MAX = 75_000_000
JPEG_SIDE_MAX = 65_500

CALLS_MAX = 50
"""At once in one process: 1,800 requests a minute are 30 a second (https://cloud.google.com/vision/quotas), each shorter than 2 s."""

ANSWER_BYTES_MAX = 32 * 1024 * 1024
"""Every character of a page of text comes with its own box."""

_RESULTS_MAX = 100
"""Google's default is 10, and a cached answer must serve every request."""

_SKU: dict[Feature, str] = {
    "objects": "OBJECT_LOCALIZATION",
    "labels": "LABEL_DETECTION",
    "faces": "FACE_DETECTION",
    "text": "TEXT_DETECTION",
    "moderation": "SAFE_SEARCH_DETECTION",
}

# https://cloud.google.com/vision/docs/reference/rpc/google.rpc#code. By name of the status.
ERRORS: Mapping[str, type[ProviderError]] = MappingProxyType(
    {
        "INVALID_ARGUMENT": ImageRefused,
        "FAILED_PRECONDITION": ImageRefused,
        "OUT_OF_RANGE": ImageRefused,
        "UNIMPLEMENTED": ProviderMisconfigured,
        "NOT_FOUND": ProviderMisconfigured,
        "UNAUTHENTICATED": ProviderMisconfigured,
        "PERMISSION_DENIED": ProviderMisconfigured,
        "RESOURCE_EXHAUSTED": ProviderThrottled,
        "DEADLINE_EXCEEDED": ProviderTimeout,
        "UNAVAILABLE": ProviderFailed,
        "INTERNAL": ProviderFailed,
        "UNKNOWN": ProviderFailed,
        "ABORTED": ProviderFailed,
    }
)
# What gRPC itself says in a status of its own: the same words as a server's, for something else
# (https://github.com/grpc/grpc: src/core/load_balancing, src/core/resolver, src/core/filter/auth; src/python/grpcio/grpc/_channel.py).
_SAID_BY_GRPC: tuple[tuple[str, str, type[ProviderError]], ...] = (
    ("UNAVAILABLE", "failed to connect to all addresses", ProviderUnreachable),
    ("UNAVAILABLE", "DNS resolution failed", ProviderUnreachable),
    ("UNAVAILABLE", "Getting metadata from plugin failed", ProviderMisconfigured),
    ("RESOURCE_EXHAUSTED", "Received message larger than max", ProviderProtocolError),
    ("INTERNAL", "Exception deserializing response", ProviderProtocolError),
)


class GoogleVision:
    """One project. Its channel is made on the first call: after fork, once a process, shared by its threads."""

    name = NAME
    features: frozenset[Feature] = frozenset(_SKU)
    region = ""
    model = MODEL

    def __init__(self, endpoint: str, *, insecure: bool) -> None:
        """Take `host:port`; `insecure` is plaintext without credentials, for a stand-in on this machine."""
        self._endpoint = endpoint
        self._insecure = insecure
        self._calls = Bulkhead(NAME, CALLS_MAX)
        self._unreadable: set[str] = set()  # buckets: of those that an operator allows
        self._renewal = Renewal(lambda: GoogleVision._client.forget(self))

    def calls(self, features: frozenset[Feature]) -> tuple[Call, ...]:
        """One request; each feature is a unit of its own."""
        return (Call(features, tuple(Usage(_SKU[feature], 1) for feature in sorted(features))),) if features else ()

    def refusal(self, image: Image, features: frozenset[Feature]) -> str | None:  # noqa: ARG002 -- everything can be made fit
        """Google documents no smallest picture, and what is too large is scaled down."""
        return None

    def detect(self, image: Image, call: Call, timeout_s: float) -> Answer:
        """See `Provider.detect`. gRPC's deadline holds over a call as a whole, an answer that dribbles included."""
        return self._calls.run(lambda attempt: self._detect(image, call, attempt), timeout_s)

    def _detect(self, image: Image, call: Call, attempt: Attempt) -> Answer:
        source = self._picture(image)
        answer = self._call(source, call, attempt)
        if len(answer.responses) != 1:
            raise ProviderProtocolError(f"{len(answer.responses)} answers came to one picture.")
        response = answer.responses[0]
        if response.error.code:
            raise self._refused(response.error, source)
        in_pixels = "content" in source and call.features & IN_PIXELS
        return parse(response, call.features, _size_of(source["content"]) if in_pixels else (image.width, image.height))

    def _picture(self, image: Image) -> dict[str, Any]:
        """What to send. By reference only where it lies upright: what Google does with EXIF's orientation is not documented."""
        bucket = _bucket(image.reference)
        as_it_lies = image.format in FORMATS and image.orientation == 1 and image.plain
        small = len(image.content) <= REFERENCED_BYTES_MAX and image.width * image.height <= PIXELS_MAX
        if bucket and bucket not in self._unreadable and as_it_lies and small:
            return {"source": {"gcs_image_uri": image.reference}}
        scale = min(1.0, math.sqrt(PIXELS_MAX / (image.width * image.height)))
        side_max = min(int(max(image.width, image.height) * scale), JPEG_SIDE_MAX)
        try:
            return {"content": image.encoded(FORMATS, CONTENT_BYTES_MAX, side_max)}
        except ImageError as error:
            raise ImageRefused(str(error)) from error

    def _call(self, source: dict[str, Any], call: Call, attempt: Attempt) -> Any:
        """The answer as the raw protobuf: reading it through proto-plus takes as long as all the rest."""
        from google.api_core.exceptions import GoogleAPICallError  # noqa: PLC0415 -- slow to import; not every gateway asks Google
        from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415
        from google.cloud import vision_v1 as vision  # noqa: PLC0415

        features = [{"type_": getattr(vision.Feature.Type, usage.sku), "max_results": _RESULTS_MAX} for usage in call.usage]
        request = vision.BatchAnnotateImagesRequest.pb()(requests=[{"image": source, "features": features}])
        try:
            client = self._client
            attempt.sending()
            answer = client.batch_annotate_images(
                request=vision.BatchAnnotateImagesRequest.wrap(request), retry=None, timeout=attempt.left_s
            )
        except GoogleAPICallError as error:
            refused = translated(error)
            if isinstance(refused, ProviderMisconfigured):
                self._renewal.refused()
            raise refused from error
        except GoogleAuthError as error:
            self._renewal.refused()
            raise ProviderMisconfigured(str(error)) from error
        return vision.BatchAnnotateImagesResponse.pb(answer)

    def _refused(self, status: Any, source: dict[str, Any]) -> ProviderError:
        """The picture's own error inside an answer that is OK. Whether Google bills it is not documented, so it may have been billed."""
        import grpc  # noqa: PLC0415 -- slow to import; not every gateway asks Google

        names = {code.value[0]: code.name for code in grpc.StatusCode}
        name = names.get(status.code, "")
        bucket = _bucket(source.get("source", {}).get("gcs_image_uri"))
        if bucket:  # whatever it was: the next call carries the picture itself
            self._unreadable.add(bucket)
        error_class = ImageRefused if bucket and name in {"NOT_FOUND", "PERMISSION_DENIED"} else ERRORS.get(name, ProviderFailed)
        refused = error_class(f"{name or status.code}: {status.message}"[:500])
        refused.maybe_billed = True
        return refused

    @Once
    def _client(self) -> Any:
        import grpc  # noqa: PLC0415 -- slow to import; not every gateway asks Google
        from google.cloud import vision_v1 as vision  # noqa: PLC0415
        from google.cloud.vision_v1.services.image_annotator.transports import ImageAnnotatorGrpcTransport  # noqa: PLC0415

        options = [
            ("grpc.max_send_message_length", -1),
            ("grpc.max_receive_message_length", ANSWER_BYTES_MAX),
            # By default a channel waits up to two minutes before it tries again, and fails every call until then.
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 2_000),
            ("grpc.enable_retries", 0),  # neither its own nor those that a name server's service config asks for
        ]

        def channel(host: str, **kwargs: Any) -> grpc.Channel:
            return ImageAnnotatorGrpcTransport.create_channel(host, **{**kwargs, "options": options})

        if self._insecure:
            direct = [*options, ("grpc.enable_http_proxy", 0)]
            transport = ImageAnnotatorGrpcTransport(channel=grpc.insecure_channel(self._endpoint, direct))
        else:
            transport = ImageAnnotatorGrpcTransport(host=self._endpoint, channel=channel)
        return vision.ImageAnnotatorClient(transport=transport)

    def warm(self) -> None:
        """See `Provider.warm`. Without it the first call would make the client within its own time limit."""
        self._calls.start(lambda: self._client)

    def health(self) -> Health:
        """Ready: whether the credentials are good is only known by asking."""
        return Health(ready=True)

    def close(self) -> None:
        """See `Provider.close`."""
        self._calls.close()
        if "_client" in self.__dict__:
            self._client.transport.close()


def translated(error: Any) -> ProviderError:
    """A `google.api_core.exceptions.GoogleAPICallError` in the gateway's language."""
    status = error.grpc_status_code
    name = status.name if status is not None else ""
    own = (error_class for code, words, error_class in _SAID_BY_GRPC if code == name and words in error.message)
    error_class = next(own, None) or ERRORS.get(name, ProviderFailed)
    return error_class(f"{name or error.code}: {error.message}"[:500], retry_after_s=_retry_after_s(error))


def _retry_after_s(error: Any) -> float | None:
    """How long Google asks to wait: `google.rpc.RetryInfo` (https://google.aip.dev/193), else a `retry-after` of seconds in the trailer."""
    for detail in error.details:
        if type(detail).__name__ == "RetryInfo":
            return float(detail.retry_delay.seconds + detail.retry_delay.nanos / 1e9)
    for call in error.errors:
        for name, value in call.trailing_metadata() or ():
            if name == "retry-after" and str(value).isdecimal():
                return float(value)
    return None


def _size_of(content: bytes) -> tuple[int, int]:
    return open_picture(content, format_of(content) or "jpeg").size


def _bucket(reference: str | None) -> str:
    if reference is None or not reference.startswith("gs://"):
        return ""
    return reference.removeprefix("gs://").partition("/")[0]


def build(environ: Mapping[str, str]) -> GoogleVision:
    """Cloud Vision as the environment describes it.

    `GATEWAY_GOOGLE_VISION_ENDPOINT` (`host:port`, default `vision.googleapis.com:443`), `GATEWAY_GOOGLE_VISION_INSECURE` (`true`:
    plaintext, only to this machine). Google's application default credentials are found by google-auth, in the process's environment.

    Raises:
        BadEnvironment: bad endpoint, plaintext to another machine, a missing credentials file, unknown names.
    """
    known = {"GATEWAY_GOOGLE_VISION_ENDPOINT", "GATEWAY_GOOGLE_VISION_INSECURE"}
    problems = [f"{name}: no such setting." for name in sorted(environ) if name.startswith("GATEWAY_GOOGLE_VISION_") and name not in known]
    endpoint = environ.get("GATEWAY_GOOGLE_VISION_ENDPOINT") or "vision.googleapis.com:443"
    host, _, port = endpoint.rpartition(":")
    if "/" in endpoint or not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        problems.append(f"GATEWAY_GOOGLE_VISION_ENDPOINT: {endpoint!r} is not host:port.")
    insecure = _BOOLEANS.get((environ.get("GATEWAY_GOOGLE_VISION_INSECURE") or "false").lower())
    if insecure is None:
        problems.append(f"GATEWAY_GOOGLE_VISION_INSECURE: {environ['GATEWAY_GOOGLE_VISION_INSECURE']!r} is neither true nor false.")
    elif insecure and not _loopback(host):
        problems.append(f"GATEWAY_GOOGLE_VISION_INSECURE: plaintext goes to this machine only, and {host!r} is not its loopback address.")
    credentials = environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    if credentials and not insecure and not Path(credentials).is_file():
        problems.append(f"GOOGLE_APPLICATION_CREDENTIALS: there is no file {credentials!r}.")
    if problems:
        raise BadEnvironment(*problems)
    import google.cloud.vision_v1  # noqa: F401, PLC0415 -- slow to import: now rather than within the first call's time limit

    return GoogleVision(endpoint, insecure=bool(insecure))


_BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
