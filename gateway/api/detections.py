"""`POST /v1/detections`: one picture in, what is on it out."""

import hashlib
import time
from typing import ClassVar

from flask import Response, g, request

from cost.ledger import IdempotencyKey
from cost.ledger.terms import tags_text
from gateway import errors
from gateway.api.problems import problem_response
from gateway.api.resource import Description, GatewayResource, describes, json_response
from gateway.cache.keys import letters_of
from gateway.cache.values import Kept, written
from gateway.idempotency import answer_once, read_key
from gateway.ids import new_id
from gateway.keys import Role
from gateway.metering import Bill
from gateway.monitoring.stages import stage
from gateway.monitoring.traffic import note_answer
from gateway.outcome import Outcome
from gateway.wire.answer import DetectionsOut, write_outcome
from gateway.wire.options import Options
from gateway.wire.request import DetectionRequest, image_error, read_detection_request
from providers.images import Image, ImageError, ImageLimits, read_image


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
            ),
        )
    )
    def post(self) -> Response:
        """Read, tell, write."""
        limits = self.parts.settings.image_limits
        with stage("read"):
            asked = read_detection_request(request, limits)
            started = time.monotonic()
            deadline = started + self.parts.dispatcher.time_limit_s(asked.options)
            content, reference = self._content(asked, deadline)
            digest = hashlib.sha256(content).hexdigest()
        key = read_key(request.headers.get("Idempotency-Key"), g.key.id, digest, asked.options)
        bill = self._bill(asked.options, key)

        def answer() -> Response:
            with stage("look"):
                kept = self.parts.live.look(digest, asked.options, bill, lambda: _read(content, limits, reference))
            if kept:
                return self._kept(kept, asked.options, bill, started)
            image = _read(content, limits, reference)
            outcome = self.parts.live.detect(image, asked.options, bill, deadline)
            g.facts = _facts(outcome)
            note_answer(outcome.provider, outcome.cache, degraded=outcome.degraded)
            headers = {"X-Cost-USD": str(outcome.cost), "X-Provider": outcome.provider or "", "X-Cache": outcome.cache}
            with stage("write"):
                return json_response(write_outcome(outcome, g.request_id), headers=headers)

        timeout_s = self.parts.dispatcher.time_limit_s(asked.options)
        return answer_once(self.parts.ledger, key, bill.request_id, timeout_s, answer, problem_response)

    def _kept(self, kept: Kept, options: Options, bill: Bill, started: float) -> Response:
        """A kept answer, written without a look at the picture."""
        detections, found = kept.selected(options, letters_of(options.features))
        body = written(
            kept,
            options,
            detections,
            answer_id=bill.request_id,
            request_id=g.request_id,
            use="hit",
            simulated=self.parts.settings.simulated,
            latency_ms=(time.monotonic() - started) * 1000,
        )
        g.facts = _facts_of_kept(kept, bill, found)
        note_answer(kept.provider, "hit")
        return Response(body, headers={"X-Cost-USD": "0", "X-Provider": kept.provider, "X-Cache": "hit"}, mimetype="application/json")

    def _content(self, asked: DetectionRequest, deadline: float) -> tuple[bytes, str | None]:
        """The picture's bytes that were sent, or those at the address that was, and where a cloud of its own can read them."""
        if asked.uri is None:
            return asked.content, None
        if self.parts.fetcher is None:
            raise errors.InvalidParameter("image.uri", "Image URIs are turned off here. Send the picture itself.")
        fetched = self.parts.fetcher.fetch(asked.uri, max(deadline - time.monotonic(), 0.001))
        return fetched.content, fetched.reference

    def _bill(self, options: Options, key: IdempotencyKey | None) -> Bill:
        """The key's own tags come before those of the request: a cost centre is not the caller's to choose."""
        ceiling = self.parts.settings.default_max_cost_usd if options.max_cost_usd is None else options.max_cost_usd
        tags = {**options.tags, **g.key.tags}
        if reserved := next((name for name in tags if name.startswith("gateway.")), None):
            raise errors.InvalidParameter("tags", f"tags: {reserved!r} is the gateway's own; its names begin with 'gateway.'.")
        try:
            tags_text(tags)
        except ValueError as error:  # before anything is asked or held: the ledger could not keep them
            raise errors.InvalidParameter("tags", f"tags, those of the key included: {error}.") from error
        return Bill(new_id(), g.key.name, tags, ceiling, key, g.key.id)


def _read(content: bytes, limits: ImageLimits, reference: str | None) -> Image:
    """The picture; what is wrong with it in our own words, so that it frees an Idempotency-Key as every refusal does."""
    try:
        return read_image(content, limits, reference)
    except ImageError as error:
        raise image_error(error) from error


def _facts_of_kept(kept: Kept, bill: Bill, found: int) -> dict[str, object]:
    return {
        "id": bill.request_id,
        "provider": kept.provider,
        "cost_usd": "0",
        "cache": "hit",
        "degraded": False,
        "attempts": [],
        "detections": found,
        "width": kept.width,
        "height": kept.height,
        "format": kept.format,
    }


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
