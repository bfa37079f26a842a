"""A Rekognition that speaks AWS JSON 1.1: requests are checked against botocore's own model of the service, answers are recorded or drawn.

Source: https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
"""

import base64
import copy
import functools
import hashlib
import io
import json
import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.session
import botocore.validate
import PIL.Image

from tests.clouds import web
from tests.clouds.behaviour import Behaviour, Conduct
from tests.clouds.bill import Bill
from tests.clouds.pictures import Pictures, seen
from tests.clouds.vocabulary import rekognition_labels

JSON = "application/x-amz-json-1.1"
_SIGNATURE = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<account>[^/]+)/\d{8}/(?P<region>[a-z0-9-]+)/rekognition/aws4_request, "
    r"SignedHeaders=[a-z0-9;-]+, Signature=[0-9a-f]{64}"
)
_BYTES_MAX = 5_242_880
_OPERATIONS = ("DetectLabels", "DetectFaces", "DetectText", "DetectModerationLabels")

# Every error of the service by the name of its fault: code, HTTP status, message.
ERRORS: dict[str, tuple[str, int, str]] = {
    "ThrottlingException": ("ThrottlingException", 400, "Slow down; sudden increase in rate of requests."),
    "ThrottlingException500": ("ThrottlingException", 500, "Service Unavailable"),
    "ProvisionedThroughputExceededException": ("ProvisionedThroughputExceededException", 400, "Provisioned Rate exceeded."),
    "InternalServerError": ("InternalServerError", 500, "Internal server error."),
    "LimitExceededException": ("LimitExceededException", 400, "Limit exceeded."),
    "ImageTooLargeException": ("ImageTooLargeException", 400, "Image dimensions: null x null pixels exceed the maximum limit."),
    "InvalidImageFormatException": ("InvalidImageFormatException", 400, "Request has invalid image format"),
    "InvalidParameterException": ("InvalidParameterException", 400, "Request has invalid parameters"),
    "InvalidS3ObjectException": (
        "InvalidS3ObjectException",
        400,
        "Unable to get object metadata from S3. Check object key, region and/or access permissions.",
    ),
    "ValidationException": (
        "ValidationException",
        400,
        "Value at 'image.bytes' failed to satisfy constraint: Member must have length less than or equal to 5242880",
    ),
    "AccessDeniedException": ("AccessDeniedException", 400, "User is not authorized to perform: rekognition:DetectLabels"),
    "AccessDeniedException403": ("AccessDeniedException", 403, "User is not authorized to perform: rekognition:DetectLabels"),
    "ExpiredTokenException": ("ExpiredTokenException", 400, "The security token included in the request is expired"),
    "UnrecognizedClientException": ("UnrecognizedClientException", 400, "The security token included in the request is invalid."),
    "InvalidSignatureException": ("InvalidSignatureException", 403, "Signature expired: 20260821T000000Z is too early"),
    "RequestTimeTooSkewed": ("RequestTimeTooSkewed", 403, "The difference between the request time and the current time is too large."),
    "MissingAuthenticationTokenException": ("MissingAuthenticationTokenException", 403, "Missing Authentication Token"),
    "HumanLoopQuotaExceededException": ("HumanLoopQuotaExceededException", 400, "The number of in-progress human reviews is exceeded."),
    "ResourceNotFoundException": ("ResourceNotFoundException", 400, "The resource is not found."),
    "ResourceNotReadyException": ("ResourceNotReadyException", 400, "The resource is not ready."),
    "UnheardOfException": ("UnheardOfException", 400, "Nobody documented this."),
    "UnheardOfFailure": ("UnheardOfFailure", 500, "Nobody documented this."),
}  # fmt: skip
# Answers that no JSON service gives: HTTP status and body.
PLAIN_ERRORS = {
    "413": (413, b"<html><body>413 Request Entity Too Large</body></html>"),
    "429": (429, b"Too many requests"),
    "502": (502, b"<html><body>502 Bad Gateway</body></html>"),
    "503": (503, b""),
    "504": (504, b"<html><body>504 Gateway Time-out</body></html>"),
    "403": (403, b"<html><body>blocked by a proxy</body></html>"),
}
# Answers that parse, and say nothing that can be true: by name, what is put in place of the answer's values.
NONSENSE: dict[str, Callable[[dict[str, Any]], object]] = {
    "nan": lambda answer: _with_confidences(answer, float("nan")),
    "infinity": lambda answer: _with_confidences(answer, float("inf")),
    "words_for_numbers": lambda answer: _with_confidences(answer, "high"),
    "true_for_numbers": lambda answer: _with_confidences(answer, True),
    "nulls": lambda answer: _with_confidences(answer, None),
    "percent_250": lambda answer: _with_confidences(answer, 250.0),
    "string_for_list": lambda answer: dict.fromkeys(answer, "none"),
    "strings_in_list": lambda answer: {key: ["none"] for key in answer},
    "deep": lambda answer: {key: _nested(900) for key in answer},
}


class StandIn:
    """One Rekognition on this machine.

    Attributes:
        answers: what an operation answers for pictures that are not annotated; {operation: answer}.
        read_object: the bytes of an S3 object by bucket, key and version, or None: what Rekognition could read.
        received: the parameters of every request, Bytes decoded.
    """

    def __init__(
        self, behaviour: Behaviour | None = None, *, pictures: Pictures | None = None, bill: Path | None = None, port: int = 0
    ) -> None:
        self.conduct = Conduct(behaviour or Behaviour())
        self.bill = Bill("rekognition", bill)
        self.pictures = pictures
        self.answers: dict[str, dict[str, Any]] = copy.deepcopy(NOTHING)
        self.read_object: Callable[[str, str, str | None], bytes | None] = lambda *_: None
        self.received: list[dict[str, Any]] = []
        self.server = web.Server(port, Handler, self, self.conduct, self.bill)

    @property
    def environ(self) -> dict[str, str]:
        """What a gateway's environment needs to find it."""
        return {
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_REKOGNITION": self.server.url,
            "AWS_ACCESS_KEY_ID": "AKIASTANDIN",
            "AWS_SECRET_ACCESS_KEY": "not-a-secret",
        }

    def close(self) -> None:
        self.server.stop()
        self.bill.close()


NOTHING = {
    "DetectLabels": {"Labels": [], "LabelModelVersion": "3.0"},
    "DetectFaces": {"FaceDetails": []},
    "DetectText": {"TextDetections": [], "TextModelVersion": "3.0"},
    "DetectModerationLabels": {"ModerationLabels": [], "ModerationModelVersion": "7.0", "ContentTypes": []},
}


class _Refusal(Exception):
    """One of `ERRORS`."""


class Handler(web.Handler):
    def serve(self, body: bytes) -> None:
        stand_in: StandIn = self.server.stand_in
        request_id = str(uuid.uuid4())
        operation = self.headers.get("X-Amz-Target", "").removeprefix("RekognitionService.")
        headers = {"x-amzn-RequestId": request_id}
        try:
            account = self._account()
            parameters = self._parameters(operation, body)
            image = self._picture(parameters["Image"])
            fault = stand_in.conduct.fault()
            self._no_error(fault)
        except _Refusal as refusal:
            self._refuse(str(refusal), headers)
            return
        if fault in PLAIN_ERRORS:
            stand_in.bill.count(fault)
            status, page = PLAIN_ERRORS[fault]
            self.send(status, page, "text/html", headers | {"Retry-After": "7"})
            return
        stand_in.bill.add(request_id, [operation], account, hashlib.sha256(image).hexdigest())
        stand_in.bill.count(fault or "answered")
        answer: Any = _answer(stand_in, operation, parameters, image)
        if fault in NONSENSE:
            answer = NONSENSE[fault](answer)
        stand_in.conduct.wait()
        if fault in web.WIRE_FAULTS:
            self.misbehave(fault, json.dumps(answer).encode(), JSON)
        else:
            self.answer(200, answer, JSON, headers)

    def _no_error(self, fault: str) -> None:
        if fault in ERRORS:
            raise _Refusal(fault)
        if self.server.conduct.over_quota():
            raise _Refusal("ProvisionedThroughputExceededException")

    def _refuse(self, name: str, headers: dict[str, str]) -> None:
        code, status, message = ERRORS[name]
        self.server.bill.count(name)
        if status >= 500 and self.server.conduct.now.fault_billed:
            self.server.bill.add(headers["x-amzn-RequestId"], ["DetectLabels"], "", "")
        if "hrottl" in code or "Throughput" in code:
            headers["x-amz-retry-after"] = "1500"
        document = {"__type": code, "Code": code, "Logref": headers["x-amzn-RequestId"], "Message": message}
        self.answer(status, document, JSON, headers)

    def _account(self) -> str:
        """The access key that signed."""
        signature = _SIGNATURE.fullmatch(self.headers.get("Authorization", ""))
        if signature is None or "X-Amz-Date" not in self.headers:
            raise _Refusal("MissingAuthenticationTokenException")
        return signature["account"]

    def _parameters(self, operation: str, body: bytes) -> dict[str, Any]:
        if operation not in _OPERATIONS or self.headers.get("Content-Type") != JSON:
            raise _Refusal("InvalidParameterException")
        try:
            parameters = json.loads(body)
            if "Bytes" in parameters["Image"]:
                parameters["Image"]["Bytes"] = base64.b64decode(parameters["Image"]["Bytes"], validate=True)
        except (ValueError, KeyError, TypeError):
            raise _Refusal("InvalidParameterException") from None
        if botocore.validate.ParamValidator().validate(parameters, _service().operation_model(operation).input_shape).has_errors():
            raise _Refusal("InvalidParameterException")
        self.server.stand_in.received.append({"operation": operation, **parameters})
        return parameters

    def _picture(self, image: dict[str, Any]) -> bytes:
        content = image.get("Bytes")
        if content is not None and not 1 <= len(content) <= _BYTES_MAX:
            raise _Refusal("ValidationException")
        if content is None:
            place = image.get("S3Object", {})
            content = self.server.stand_in.read_object(place.get("Bucket", ""), place.get("Name", ""), place.get("Version"))
            if content is None:
                raise _Refusal("InvalidS3ObjectException")
        try:
            picture = PIL.Image.open(io.BytesIO(content), formats=("JPEG", "PNG"))
        except (OSError, SyntaxError):
            raise _Refusal("InvalidImageFormatException") from None
        if max(picture.size) > 10_000:
            raise _Refusal("ImageTooLargeException")
        if min(picture.size) < 80:
            raise _Refusal("InvalidParameterException")
        return content


@functools.cache
def _service() -> Any:
    return botocore.session.get_session().get_service_model("rekognition")


def _answer(stand_in: StandIn, operation: str, parameters: dict[str, Any], image: bytes) -> dict[str, Any]:
    things = stand_in.pictures.things_on(image) if stand_in.pictures and operation == "DetectLabels" else None
    if things is None:
        return copy.deepcopy(stand_in.answers[operation])
    found = seen(things, stand_in.pictures.names, stand_in.conduct.now, "rekognition")
    wanted = [label for label in rekognition_labels(found) if label["Confidence"] >= parameters.get("MinConfidence", 55)]
    return {"Labels": wanted[: parameters.get("MaxLabels", 1000)], "LabelModelVersion": "3.0"}


def _with_confidences(answer: Any, value: object) -> Any:
    if isinstance(answer, dict):
        return {key: value if key == "Confidence" else _with_confidences(inner, value) for key, inner in answer.items()}
    return [_with_confidences(inner, value) for inner in answer] if isinstance(answer, list) else answer


def _nested(depth: int) -> list[Any]:
    nested: list[Any] = []
    for _ in range(depth):
        nested = [nested]
    return nested
