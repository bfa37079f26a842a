"""A Cloud Vision that speaks gRPC and REST, with the client library's own protobufs.

Sources: https://cloud.google.com/vision/docs/reference/rpc/google.cloud.vision.v1 and …/reference/rest/v1/images/annotate
"""

import hashlib
import io
import re
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import PIL.Image
from google.cloud import vision_v1 as vision
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from tests.clouds import web
from tests.clouds.behaviour import Behaviour, Conduct
from tests.clouds.bill import Bill
from tests.clouds.pictures import Pictures, seen
from tests.clouds.vocabulary import google_labels, google_objects

Request = vision.BatchAnnotateImagesRequest.pb()
Response = vision.BatchAnnotateImagesResponse.pb()
One = vision.AnnotateImageResponse.pb()

_BATCH_MAX, _REQUEST_BYTES_MAX, _PIXELS_MAX = 16, 10_000_000, 75_000_000
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "ICO")
_RETRY_S = 3

# Statuses of the call: message.
ERRORS: dict[str, str] = {
    "UNAVAILABLE": "The service is currently unavailable.",
    "DEADLINE_EXCEEDED": "Deadline exceeded.",
    "RESOURCE_EXHAUSTED": "Quota exceeded for quota metric 'Requests' and limit 'Requests per minute' of service 'vision.googleapis.com'.",
    "INTERNAL": "Internal error encountered.",
    "UNKNOWN": "Unknown error.",
    "ABORTED": "The operation was aborted.",
    "CANCELLED": "The operation was cancelled.",
    "DATA_LOSS": "Unrecoverable data loss.",
    "INVALID_ARGUMENT": "Request contains an invalid argument.",
    "FAILED_PRECONDITION": "Precondition check failed.",
    "OUT_OF_RANGE": "Out of range.",
    "UNIMPLEMENTED": "Method not found.",
    "NOT_FOUND": "Requested entity was not found.",
    "UNAUTHENTICATED": "Request had invalid authentication credentials.",
    "PERMISSION_DENIED": "Cloud Vision API has not been used in project 1 before or it is disabled.",
}
# Errors of one picture inside an answer that is OK: code, message.
PICTURE_ERRORS: dict[str, tuple[int, str]] = {
    "picture_3": (3, "Bad image data."),
    "picture_3_large": (3, "Image too large. Please limit to 75 megapixels."),
    "picture_4": (4, "Deadline exceeded."),
    "picture_8": (8, "Quota exceeded."),
    "picture_13": (13, "Internal server error. Failed to process features."),
    "picture_13_unexpected": (13, "Unexpected feature response."),
    "picture_14": (14, "We're not able to process the image right now."),
    "picture_99": (99, "Nobody documented this."),
}
# Answers that are none.
NONSENSE: dict[str, Callable[[Any], Any]] = {
    "no_answers": lambda _: Response(),
    "two_answers": lambda answer: Response(responses=[answer.responses[0], answer.responses[0]]),
    "nan": lambda answer: _with_score(answer, float("nan")),
    "infinity": lambda answer: _with_score(answer, float("inf")),
    "score_7": lambda answer: _with_score(answer, 7.0),
    "no_corners": lambda _: Response(responses=[One(localized_object_annotations=[{"name": "Cat", "score": 0.9}])]),
    "garbage": lambda _: b"\xff\xff\xff\xff<html>",
    "huge": lambda _: Response(responses=[One(text_annotations=[{"description": "x" * 40_000_000}])]),
}
_REST_STATUS = {
    "RESOURCE_EXHAUSTED": 429,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNKNOWN": 500,
    "DATA_LOSS": 500,
    "CANCELLED": 499,
}

# How the stand-in's own `vision.Feature.Type` is billed and answered: SKU name to the field of the answer.
FIELDS = {
    "OBJECT_LOCALIZATION": ("localized_object_annotations",),
    "LABEL_DETECTION": ("label_annotations",),
    "FACE_DETECTION": ("face_annotations",),
    "TEXT_DETECTION": ("text_annotations", "full_text_annotation"),
    "SAFE_SEARCH_DETECTION": ("safe_search_annotation",),
}


class Refused(Exception):
    """A status of the call."""

    def __init__(self, status: str, message: str = "") -> None:
        super().__init__(status)
        self.status, self.message = status, message or ERRORS[status]


class StandIn:
    """One Cloud Vision on this machine, over gRPC (`endpoint`) and REST (`server.url`).

    Attributes:
        answer: what is told of pictures that are not annotated, as an AnnotateImageResponse; cut to the features asked for.
        received: the requests.
        read_object: the bytes behind a gs:// reference, or None.
    """

    def __init__(
        self,
        behaviour: Behaviour | None = None,
        *,
        pictures: Pictures | None = None,
        bill: Path | None = None,
        port: int = 0,
        rest_port: int = 0,
    ) -> None:
        self.conduct = Conduct(behaviour or Behaviour())
        self.bill = Bill("google_vision", bill)
        self.pictures = pictures
        self.answer = One()
        self.read_object: Callable[[str], bytes | None] = lambda _: None
        self.received: list[Any] = []
        self.server = web.Server(rest_port, Handler, self, self.conduct, self.bill)
        options = [("grpc.max_receive_message_length", 64 * 1024 * 1024), ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)]
        self._grpc = grpc.server(ThreadPoolExecutor(256), options=options)
        method = grpc.unary_unary_rpc_method_handler(
            self._annotate,
            request_deserializer=Request.FromString,
            response_serializer=lambda answer: answer if isinstance(answer, bytes) else answer.SerializeToString(),
        )
        service = grpc.method_handlers_generic_handler("google.cloud.vision.v1.ImageAnnotator", {"BatchAnnotateImages": method})
        self._grpc.add_generic_rpc_handlers((service,))
        self.port = self._grpc.add_insecure_port(f"127.0.0.1:{port}")
        self._grpc.start()

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def environ(self) -> dict[str, str]:
        """What a gateway's environment needs to find it."""
        return {"GATEWAY_GOOGLE_VISION_ENDPOINT": self.endpoint, "GATEWAY_GOOGLE_VISION_INSECURE": "true"}

    def close(self) -> None:
        self.conduct.stopped.set()
        self._grpc.stop(0).wait()
        self.server.stop()
        self.bill.close()

    def _annotate(self, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            fault, answer = self.annotate(request)
        except Refused as refused:
            _abort(context, refused)
            raise
        if fault == "hang":
            gone = threading.Event()
            context.add_callback(gone.set)
            while not gone.wait(0.05) and not self.conduct.stopped.is_set():
                pass
            context.abort(grpc.StatusCode.CANCELLED, "the stand-in stops")
        return NONSENSE[fault](answer) if fault in NONSENSE else answer

    def annotate(self, request: Any) -> tuple[str, Any]:
        """The fault that is still to happen on the wire, and the answer; billed.

        Raises:
            Refused: the whole call.
        """
        self.received.append(request)
        request_id = str(uuid.uuid4())
        fault = self.conduct.fault()
        if status := self._refusal(request, fault):
            self.bill.count(status)
            if status in {"INTERNAL", "UNAVAILABLE", "UNKNOWN"} and self.conduct.now.fault_billed:
                self.bill.add(request_id, ["OBJECT_LOCALIZATION"], "", "")
            raise Refused(status)
        answers = [self._one(request_id, one, fault) for one in request.requests]
        self.bill.count(fault or "answered")
        self.conduct.wait()
        return fault, Response(responses=answers)

    def _refusal(self, request: Any, fault: str) -> str:
        if fault in ERRORS:
            return fault
        if not 1 <= len(request.requests) <= _BATCH_MAX or request.ByteSize() > _REQUEST_BYTES_MAX:
            return "INVALID_ARGUMENT"
        return "RESOURCE_EXHAUSTED" if self.conduct.over_quota() else ""

    def _one(self, request_id: str, request: Any, fault: str) -> Any:
        names = {kind.value: kind.name for kind in vision.Feature.Type}
        # Nothing named means everything, and everything is billed.
        skus = [names[feature.type_] for feature in request.features] or [name for value, name in names.items() if value]
        if fault in PICTURE_ERRORS:
            code, message = PICTURE_ERRORS[fault]
            return One(error={"code": code, "message": message})
        content = request.image.content or self.read_object(request.image.source.gcs_image_uri)
        if not content:
            return One(error={"code": 5, "message": f"Error opening file: {request.image.source.gcs_image_uri}."})
        try:
            width, height = PIL.Image.open(io.BytesIO(content), formats=_FORMATS).size
        except (OSError, SyntaxError):
            return One(error={"code": 3, "message": "Bad image data."})
        if width * height > _PIXELS_MAX:
            return One(error={"code": 3, "message": "Image too large. Please limit to 75 megapixels."})
        self.bill.add(request_id, skus, "", hashlib.sha256(content).hexdigest())
        return self._seen(content, {feature.type_: feature.max_results or 10 for feature in request.features}, skus)

    def _seen(self, content: bytes, results_max: dict[int, int], skus: list[str]) -> Any:
        answer = One()
        answer.CopyFrom(self.answer)
        things = self.pictures.things_on(content) if self.pictures else None
        if things is not None:
            found = seen(things, self.pictures.names, self.conduct.now, "google_vision")
            answer = json_format.ParseDict(
                {"localizedObjectAnnotations": google_objects(found), "labelAnnotations": google_labels(found)}, One()
            )
        for sku, names in FIELDS.items():
            for name in names:
                if sku not in skus:
                    answer.ClearField(name)
        del answer.localized_object_annotations[results_max.get(int(vision.Feature.Type.OBJECT_LOCALIZATION), 10) :]
        del answer.label_annotations[results_max.get(int(vision.Feature.Type.LABEL_DETECTION), 10) :]
        return answer


def _abort(context: grpc.ServicerContext, refused: Refused) -> None:
    code = grpc.StatusCode[refused.status]
    if code is not grpc.StatusCode.RESOURCE_EXHAUSTED:
        context.abort(code, refused.message)
    status = status_pb2.Status(code=code.value[0], message=refused.message)
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.FromSeconds(_RETRY_S)
    status.details.add().Pack(retry)
    context.abort_with_status(rpc_status.to_status(status))


class Handler(web.Handler):
    """The REST side, and the control of both."""

    def serve(self, body: bytes) -> None:
        if not re.fullmatch(r"/v1/(projects/[^/]+/locations/[^/]+/)?images:annotate", self.path.partition("?")[0]):
            self.answer(404, {"error": {"code": 404, "message": "Not Found", "status": "NOT_FOUND"}})
            return
        try:
            fault, answer = self.server.stand_in.annotate(json_format.Parse(body, Request()))
        except json_format.ParseError as error:
            self.answer(400, {"error": {"code": 400, "message": str(error), "status": "INVALID_ARGUMENT"}})
        except Refused as refused:
            status = _REST_STATUS.get(refused.status, 400)
            self.answer(status, {"error": {"code": status, "message": refused.message, "status": refused.status}})
        else:
            document = json_format.MessageToJson(answer).encode()
            if fault in web.WIRE_FAULTS:
                self.misbehave(fault, document, "application/json; charset=UTF-8")
            else:
                self.send(200, document, "application/json; charset=UTF-8")


def _with_score(answer: Any, score: float) -> Any:
    box = {"normalized_vertices": [{"x": 0.1, "y": 0.1}, {"x": 0.2, "y": 0.2}]}
    return Response(responses=[One(localized_object_annotations=[{"name": "Cat", "score": score, "bounding_poly": box}])])
