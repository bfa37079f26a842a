"""One picture answered for one caller: by `POST /v1/detections`, and by each item of a batch, whose threads know no request."""

import hashlib
import json
import time
from collections.abc import Mapping
from typing import NamedTuple

from flask import Response

from cost.ledger import IdempotencyKey
from cost.ledger.terms import tags_text
from cost.money import Money
from gateway import errors
from gateway.api.problems import problem_document
from gateway.api.whole_answer import WholeAnswer
from gateway.cache.keys import letters_of
from gateway.cache.values import Kept, written
from gateway.errors import GatewayError
from gateway.idempotency import answer_once, read_key
from gateway.ids import new_id
from gateway.keys import Key
from gateway.metering import Bill
from gateway.monitoring.stages import stage
from gateway.monitoring.traffic import note_answer
from gateway.outcome import Outcome
from gateway.parts import Parts
from gateway.wire.answer import write_outcome
from gateway.wire.options import Options
from gateway.wire.request import DetectionRequest, image_error
from providers.images import Image, ImageError, read_image

_NO_TAGS: Mapping[str, str] = {}


class Received(NamedTuple):
    """A picture's bytes, and what is asked of them.

    Attributes:
        reference: where a cloud of its own can read them, or None.
        idempotency: the client's own name for this request, or None.
        started, deadline: on the monotonic clock, in seconds.
        purse: what a whole batch leaves to this item at most; None: no limit but its own.
    """

    content: bytes
    options: Options
    reference: str | None
    idempotency: str | None
    started: float
    deadline: float
    purse: Money | None = None


class Answering:
    """Answers one caller's pictures.

    Attributes:
        facts: of the log line, once it has answered.
    """

    def __init__(self, parts: Parts, caller: Key, request_id: str) -> None:
        """Answer this caller, under the request's id."""
        self._parts = parts
        self._caller = caller
        self._request_id = request_id
        self.facts: dict[str, object] = {}

    def receive(
        self, asked: DetectionRequest, idempotency: str | None, deadline: float | None = None, purse: Money | None = None
    ) -> Received:
        """The picture's bytes that were sent, or those at the address that was. Its time begins now, and is over at `deadline` at last.

        Raises:
            GatewayError: they can't be had.
        """
        started = time.monotonic()
        own = started + self._parts.dispatcher.time_limit_s(asked.options)
        deadline = own if deadline is None else min(own, deadline)
        content, reference = asked.content, None
        if asked.uri is not None:
            if self._parts.fetcher is None:
                raise errors.InvalidParameter("image.uri", "Image URIs are turned off here. Send the picture itself.")
            fetched = self._parts.fetcher.fetch(asked.uri, max(deadline - started, 0.001))
            content, reference = fetched.content, fetched.reference
        return Received(content, asked.options, reference, idempotency, started, deadline, purse)

    def answer(self, received: Received) -> Response:
        """The answer, or the one that an earlier request under the same idempotency key got.

        Raises:
            GatewayError: there is none.
        """
        options = received.options
        digest = hashlib.sha256(received.content).hexdigest()
        key = read_key(received.idempotency, self._caller.id, digest, options)
        bill = self._bill(received, key)
        if key is None:
            return self._asked(received, digest, bill)
        timeout_s = self._parts.dispatcher.time_limit_s(options)
        return answer_once(self._parts.ledger, key, bill.request_id, timeout_s, lambda: self._asked(received, digest, bill), self._told)

    def _asked(self, received: Received, digest: str, bill: Bill) -> Response:
        options = received.options
        with stage("look"):
            kept = self._parts.live.look(digest, options, bill, lambda: self._read(received))
        if kept:
            self._parts.limits.pixels(self._caller, kept.width * kept.height)
            body = self._kept(kept, options, bill, received.started)
            headers = (("X-Cost-USD", "0"), ("X-Provider", kept.provider), ("X-Cache", "hit"))
        else:
            image = self._read(received)
            self._parts.limits.pixels(self._caller, image.width * image.height)
            outcome = self._parts.live.detect(image, options, bill, received.deadline)
            self.facts = _facts(outcome)
            note_answer(outcome.provider, outcome.cache, degraded=outcome.degraded)
            self._parts.quality.add(image, outcome)
            with stage("write"):
                body = write_outcome(outcome, self._request_id).model_dump_json(exclude_none=True).encode()
            headers = (("X-Cost-USD", str(outcome.cost)), ("X-Provider", outcome.provider or ""), ("X-Cache", outcome.cache))
        if not options.dry_run:
            self._parts.answers.add(bill.request_id, bill.client, digest, body)
        return WholeAnswer(body, self._request_id, headers)

    def _kept(self, kept: Kept, options: Options, bill: Bill, started: float) -> bytes:
        """A kept answer, written without a look at the picture."""
        detections, found = kept.selected(options, letters_of(options.features))
        body = written(
            kept,
            options,
            detections,
            answer_id=bill.request_id,
            request_id=self._request_id,
            use="hit",
            simulated=self._parts.settings.simulated,
            latency_ms=(time.monotonic() - started) * 1000,
        )
        self.facts = _facts_of_kept(kept, bill, found)
        note_answer(kept.provider, "hit")
        return body

    def _read(self, received: Received) -> Image:
        """The picture; what is wrong with it in our own words, so that it frees an Idempotency-Key as every refusal does."""
        try:
            return read_image(received.content, self._parts.settings.image_limits, received.reference)
        except ImageError as error:
            raise image_error(error) from error

    def _bill(self, received: Received, key: IdempotencyKey | None) -> Bill:
        """The key's own tags come before those of the request: a cost centre is not the caller's to choose."""
        options = received.options
        ceiling = self._parts.settings.default_max_cost_usd if options.max_cost_usd is None else options.max_cost_usd
        if received.purse is not None:
            ceiling = received.purse if ceiling is None else min(ceiling, received.purse)
        tags = {**options.tags, **self._caller.tags} if options.tags or self._caller.tags else _NO_TAGS
        if reserved := next((name for name in tags if name.startswith("gateway.")), None):
            raise errors.InvalidParameter("tags", f"tags: {reserved!r} is the gateway's own; its names begin with 'gateway.'.")
        try:
            tags_text(tags)
        except ValueError as error:  # before anything is asked or held: the ledger could not keep them
            raise errors.InvalidParameter("tags", f"tags, those of the key included: {error}.") from error
        return Bill(new_id(), self._caller.name, tags, ceiling, key, self._caller.id)

    def _told(self, error: GatewayError) -> Response:
        """An error as it is kept for the request's repetitions."""
        body = json.dumps(problem_document(error, self._request_id), ensure_ascii=False)
        return Response(body, error.status, mimetype="application/problem+json")


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
