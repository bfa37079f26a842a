"""`POST /v1/detections/batch`: up to 64 pictures in, a line of NDJSON for each as soon as it is answered."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import Annotated, ClassVar

from flask import Response, g, request
from pydantic import BaseModel, ConfigDict, Field

from cost.ledger import LedgerUnavailable as Unavailable
from cost.money import FREE, Money
from gateway import errors
from gateway.api.answering import Answering
from gateway.api.problems import as_gateway_error, problem_document
from gateway.api.resource import Description, GatewayResource, describes
from gateway.batches import Purse
from gateway.errors import DeadlineExceeded, InternalError, InvalidParameter
from gateway.keys import Key, Role
from gateway.monitoring.stages import stage
from gateway.parts import Parts
from gateway.wire.batch import NDJSON, Batch, BatchQuery, Item, read_batch
from gateway.wire.options import Options

log = logging.getLogger(__name__)

_KEY_CHARS_MAX = 250
"""Of a batch: each picture's own key is this with its place behind it, and may have 255."""


class LineOut(BaseModel):
    """One line: the answer to one picture as `POST /v1/detections` gives it, or its problem document, and which picture that is."""

    model_config = ConfigDict(extra="allow")

    index: Annotated[int, Field(ge=0, description="The picture's place in the request.")]
    name: Annotated[str | None, Field(description="A file's name, or the line's own `name`.")] = None
    status: Annotated[int, Field(description="What this picture alone would have been answered with.")]


class DetectionsBatch(GatewayResource):
    """Detect, many at a time."""

    roles: ClassVar[frozenset[Role]] = frozenset({"app"})

    @describes(
        Description(
            "Find what is in up to 64 pictures: a line each, in the order in which they are ready, each with its own status and limits",
            answers=LineOut,
            query=BatchQuery,
            batch=True,
            errors=(errors.InvalidImage, errors.ImageTooLarge, errors.UnsupportedMediaType, errors.InvalidParameter),
        )
    )
    def post(self) -> Response:
        """Read all, then answer each as it is ready."""
        idempotency = request.headers.get("Idempotency-Key")
        if idempotency is not None and not 0 < len(idempotency) <= _KEY_CHARS_MAX:
            raise InvalidParameter("Idempotency-Key", f"Idempotency-Key: of a batch, 1 to {_KEY_CHARS_MAX} visible ASCII characters.")
        with stage("read"):
            batch = read_batch(request, self.parts.settings.image_limits)
        g.facts = {"pictures": len(batch.items)}
        answer = answerer(self.parts, batch, g.key, g.request_id, idempotency)
        lines = self.parts.batches.run(batch.items, answer)
        response = Response(_then(lines, batch.close), mimetype=NDJSON[0])
        response.call_on_close(batch.close)  # also where nobody reads a line
        return response


def answerer(parts: Parts, batch: Batch, caller: Key, request_id: str, idempotency: str | None) -> Callable[[Item], bytes]:
    """What answers one item of a batch with its line, whatever becomes of it."""
    whole = batch.whole
    deadline = None if whole.batch_deadline_ms is None else time.monotonic() + whole.batch_deadline_ms / 1000
    purse = None if whole.batch_max_cost_usd is None else Purse(whole.batch_max_cost_usd, len(batch.items))

    def answer(item: Item) -> bytes:
        share, spent = None, FREE
        answering, name = Answering(parts, caller, request_id), item.name
        try:
            if deadline is not None and time.monotonic() >= deadline:
                raise DeadlineExceeded("batch_deadline_ms was over before this picture's turn came.")  # noqa: TRY301 -- told below
            key = None if idempotency is None else f"{idempotency}:{item.index}"
            asked, name = item.read()
            share = None if purse is None else purse.take(_cheapest(parts, asked.options))
            received = answering.receive(asked, key, deadline, share)
            response = answering.answer(received)
            spent = Money.usd(response.headers.get("X-Cost-USD", "0"))
            line = _line(item.index, name, response.status_code, response.get_data())
        except Exception as error:  # noqa: BLE001 -- this item's alone
            problem = as_gateway_error(error)
            spent = share or FREE if problem.charged or isinstance(problem, InternalError) else FREE
            document = problem_document(problem, request_id)
            if problem.retry_after_s is not None:
                document["retry_after_s"] = problem.retry_after_s
            answering.facts["code"] = problem.code
            line = _line(item.index, name, problem.status, json.dumps(document, ensure_ascii=False).encode())
        if purse is not None:
            share = purse.take() if share is None else share  # of one that could not be read: the others have it
            purse.give_back(share, min(spent, share))
        log.info("batch.item", extra={"request_id": request_id, "client": caller.name, "index": item.index, **answering.facts})
        return line

    return answer


def _cheapest(parts: Parts, options: Options) -> Money:
    """What the cheapest paid provider takes for all that is asked; nothing where none can be asked, or nobody can say."""
    prices = []
    for name, line in parts.dispatcher.lines.items():
        if line.paid and (options.providers is None or name in options.providers) and set(options.features) <= line.provider.features:
            try:
                quotes = [line.meter.quote(name, call) for call in line.provider.calls(frozenset(options.features))]
            except Unavailable:
                continue
            priced = [quote for quote in quotes if isinstance(quote, Money)]
            if len(priced) == len(quotes):
                prices.append(sum(priced, FREE))
    return min(prices, default=FREE)


def _then(lines: Iterator[bytes], close: Callable[[], None]) -> Iterator[bytes]:
    yield from lines
    close()


def _line(index: int, name: str | None, status: int, document: bytes) -> bytes:
    """A document as a line that says which picture it is about. An answer has no status of its own, a problem has."""
    before = {"index": index} | ({} if name is None else {"name": name}) | ({} if status >= 400 else {"status": status})
    return json.dumps(before, ensure_ascii=False)[:-1].encode() + b", " + document.lstrip()[1:] + b"\n"
