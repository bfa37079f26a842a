"""`Idempotency-Key`: a repeated request gets the first one's answer and is charged once."""

import hashlib
import json
import logging
import re
from collections.abc import Callable

from flask import Response

from cost.ledger import AlreadyAnswered, IdempotencyKey, Ledger, LedgerUnavailable, RequestMismatch, RequestRunning, SavedAnswer
from cost.ledger.idempotency import KEY_CHARS_MAX
from gateway import errors
from gateway.errors import GatewayError, InvalidParameter
from gateway.wire.options import Options

log = logging.getLogger(__name__)

_ASK_AGAIN_S = 2
_KEY = re.compile(rf"[\x21-\x7e]{{1,{KEY_CHARS_MAX}}}")


def read_key(header: str | None, client: str, image_digest: str, options: Options) -> IdempotencyKey | None:
    """The client's own name for this request, bound to everything that makes the request what it is.

    Raises:
        InvalidParameter: not 1 to `KEY_CHARS_MAX` visible ASCII characters.
    """
    if header is None:
        return None
    if not _KEY.fullmatch(header):
        raise InvalidParameter("Idempotency-Key", f"Idempotency-Key: 1 to {KEY_CHARS_MAX} visible ASCII characters, such as a UUID.")
    asked = json.dumps(["POST", "/v1/detections", image_digest, options.model_dump(mode="python")], sort_keys=True, default=str)
    return IdempotencyKey(client, header, hashlib.sha256(asked.encode()).hexdigest())


def answer_once(
    ledger: Ledger,
    key: IdempotencyKey,
    request_id: str,
    timeout_s: float,
    answer: Callable[[], Response],
    tell: Callable[[GatewayError], Response],
) -> Response:
    """Answer, or give the answer that the key's first request got.

    An error is kept as the answer only if money was spent for it: whoever repeats a request that cost nothing may hope for more. What we
    did not foresee keeps the key taken until the request's time is over, since money may have been spent.

    Args:
        ledger: keeps keys for 24 hours.
        key: the client's.
        request_id: of this request.
        timeout_s: seconds after which this request can no longer be running, should this process die.
        answer: does the work.
        tell: an error as a response.

    Raises:
        GatewayError: 409 while the first request runs, 422 for another request under this key, or what `answer` raised.
    """
    try:
        ledger.claim(key, request_id, timeout_s)
    except AlreadyAnswered as error:
        return _replayed(error.answer)
    except RequestRunning as error:
        # It may run for as long as `error` says; nearly all have ended by then.
        retry_after_s = min(error.retry_after_s, _ASK_AGAIN_S)
        raise errors.Conflict("The first request with this Idempotency-Key still runs.", retry_after_s=retry_after_s) from error
    except RequestMismatch as error:
        raise errors.IdempotencyMismatch(
            "This Idempotency-Key came with another picture or other options before. Take a new one for a new request."
        ) from error
    except LedgerUnavailable:
        return answer()  # the in-house model needs no ledger, and each hold checks the key again in its own transaction
    try:
        response = answer()
    except GatewayError as error:
        if error.charged:
            _save(ledger, key, request_id, tell(error))
        else:
            _free(ledger, key, request_id)
        raise
    _save(ledger, key, request_id, response)
    return response


def _replayed(saved: SavedAnswer) -> Response:
    """The first answer, and what its headers repeated of its body."""
    body = json.loads(saved.body)
    named = {"X-Cost-USD": "cost_usd", "X-Provider": "provider", "X-Cache": "cache"}
    headers = {header: str(body[name]) for header, name in named.items() if name in body}
    mimetype = "application/problem+json" if saved.status >= 400 else "application/json"
    return Response(saved.body, saved.status, {"Idempotent-Replayed": "true"} | headers, mimetype=mimetype)


def _save(ledger: Ledger, key: IdempotencyKey, request_id: str, response: Response) -> None:
    try:
        ledger.save_answer(key, SavedAnswer(request_id, response.status_code, response.get_data()))
    except LedgerUnavailable:
        log.warning("idempotency.not_saved", extra={"request_id": request_id})


def _free(ledger: Ledger, key: IdempotencyKey, request_id: str) -> None:
    try:
        ledger.free_key(key, request_id)
    except LedgerUnavailable:
        log.warning("idempotency.not_freed", extra={"request_id": request_id})
