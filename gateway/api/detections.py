"""`POST /v1/detections`: one picture in, what is on it out."""

from typing import ClassVar

from flask import Response, g, request

from gateway import errors
from gateway.api.answering import Answering
from gateway.api.here import here
from gateway.api.resource import Description, GatewayResource, describes
from gateway.keys import Role
from gateway.monitoring.stages import stage
from gateway.wire.answer import DetectionsOut
from gateway.wire.options import Options
from gateway.wire.request import read_detection_request

ERRORS = (
    errors.InvalidImage,
    errors.BudgetExhausted,
    errors.OverMaxCost,
    errors.Conflict,
    errors.ImageTooLarge,
    errors.UnsupportedMediaType,
    errors.InvalidParameter,
    errors.IdempotencyMismatch,
    errors.RateLimited,
    errors.NoProviderAvailable,
    errors.Overloaded,
    errors.DeadlineExceeded,
)
"""What a picture may be answered with instead of detections."""


class Detections(GatewayResource):
    """Detect."""

    roles: ClassVar[frozenset[Role]] = frozenset({"app"})

    @describes(
        Description(
            "Find what is in a picture, within the cost and the time that the request allows",
            answers=DetectionsOut,
            query=Options,
            image=True,
            errors=ERRORS,
        )
    )
    def post(self) -> Response:
        """Read, tell, write."""
        sent, caller = here(request), here(g)
        answering = Answering(self.parts, caller.key, caller.request_id)
        with stage("read"):
            asked = read_detection_request(sent, self.parts.settings.image_limits)
            received = answering.receive(asked, sent.environ.get("HTTP_IDEMPOTENCY_KEY"))
        try:
            return answering.answer(received)
        finally:
            caller.facts = answering.facts
