"""`POST /v1/detections`: one picture in, what is on it out."""

from typing import ClassVar

from flask import Response, g, request

from gateway import errors
from gateway.api.resource import Description, GatewayResource, describes, json_response
from gateway.keys import Role
from gateway.outcome import Outcome
from gateway.wire.answer import DetectionsOut, write_outcome
from gateway.wire.options import Options
from gateway.wire.request import read_detection_request
from providers.images import read_image


class Detections(GatewayResource):
    """Detect."""

    roles: ClassVar[frozenset[Role]] = frozenset({"app"})

    @describes(
        Description(
            "Find what is in a picture, within the cost and the time that the request allows",
            answers=DetectionsOut,
            query=Options,
            image=True,
            errors=(
                errors.InvalidImage,
                errors.BudgetExhausted,
                errors.Conflict,
                errors.ImageTooLarge,
                errors.UnsupportedMediaType,
                errors.InvalidParameter,
                errors.RateLimited,
                errors.NoProviderAvailable,
                errors.DeadlineExceeded,
            ),
        )
    )
    def post(self) -> Response:
        """Read, tell, write."""
        limits = self.parts.settings.image_limits
        asked = read_detection_request(request, limits)
        image = read_image(asked.content, limits)
        outcome = self.parts.dispatcher.detect(image, asked.options)
        g.facts = _facts(outcome)
        headers = {"X-Cost-USD": str(outcome.cost), "X-Provider": outcome.provider or "", "X-Cache": outcome.cache}
        return json_response(write_outcome(outcome, g.request_id), headers=headers)


def _facts(outcome: Outcome) -> dict[str, object]:
    return {
        "id": outcome.id,
        "provider": outcome.provider,
        "cost_usd": str(outcome.cost),
        "cache": outcome.cache,
        "degraded": outcome.degraded,
        "attempts": [f"{attempt.provider}:{attempt.outcome}" for attempt in outcome.attempts],
        "detections": len(outcome.kept),
        "width": outcome.image.width,
        "height": outcome.image.height,
        "format": outcome.image.format,
    }
