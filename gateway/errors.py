"""What a client is told when it gets no answer: one class a `code`, with its HTTP status. The codes are a contract; the texts are not.

A class's docstring says what its code means, `remedy` what to do: so they stand at `/docs/errors` and in the OpenAPI document.

GatewayError
  InvalidImage 400 · Unauthenticated 401 · BudgetExhausted, OverMaxCost 402 · Forbidden 403 · NotFound 404 · MethodNotAllowed 405
  Conflict 409 · ImageTooLarge, FileTooLarge 413 · UnsupportedMediaType 415 · InvalidParameter, IdempotencyMismatch 422 · RateLimited 429
  InternalError 500 · NoProviderAvailable, LedgerUnavailable, Overloaded 503 · DeadlineExceeded 504
"""

from collections.abc import Mapping
from typing import ClassVar


class GatewayError(Exception):
    """No answer, and why.

    Attributes:
        status: of HTTP.
        code: never changes meaning.
        title: the same for every error of this code.
        remedy: what to do about any error of this code.
        members: more facts for the problem document, JSON types only.
        retry_after_s: when trying again makes sense, or None.
        charged: whether money was, or may have been, spent before it came to this.
    """

    status: ClassVar[int]
    code: ClassVar[str]
    title: ClassVar[str]
    remedy: ClassVar[str]
    charged = False

    def __init__(self, detail: str, *, retry_after_s: float | None = None, **members: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.members: Mapping[str, object] = members


class InvalidImage(GatewayError):
    """Not an image, truncated, damaged, made to harm, zero-sized."""

    status, code, title = 400, "invalid_image", "The image can't be read"
    remedy = (
        "Open the file in a viewer: if it shows, save it anew as JPEG or PNG. The same bytes are always refused, so don't send them again."
    )


class Unauthenticated(GatewayError):
    """No key, or one that is not valid."""

    status, code, title = 401, "unauthenticated", "A valid API key is needed"
    remedy = "Send `Authorization: Bearer vg_…`. An admin makes keys on the page Keys, or with `vision-gateway keys create`."


class BudgetExhausted(GatewayError):
    """A budget with `when_exhausted: reject` has no room; carries its arithmetic."""

    status, code, title = 402, "budget_exhausted", "The budget is exhausted"
    remedy = "Wait until `resets_at`, or have finance raise the limit. A budget that degrades lets the in-house model answer instead."


class OverMaxCost(GatewayError):
    """No allowed provider fits the request's own ceiling."""

    status, code, title = 402, "over_max_cost", "No provider fits max_cost_usd"
    remedy = "Raise `max_cost_usd`, or allow a cheaper provider: `dry_run=true` tells each one's price without a call."


class Forbidden(GatewayError):
    """A valid key whose role may not."""

    status, code, title = 403, "forbidden", "This key may not do that"
    remedy = "Use a key with one of the roles that `detail` names. On a page: load it again, then send its form."


class NotFound(GatewayError):
    """Nothing here, or nothing that this key may see."""

    status, code, title = 404, "not_found", "There is nothing here"
    remedy = "Compare the address with the API's, and the name or id in it with its list. What another key asked for is not shown either."


class MethodNotAllowed(GatewayError):
    """The resource exists; the method does not."""

    status, code, title = 405, "method_not_allowed", "The method is not allowed here"
    remedy = "Use one of those in the header `Allow`."


class Conflict(GatewayError):
    """Something of this name exists, or the same request is still running."""

    status, code, title = 409, "conflict", "That conflicts with what is there"
    remedy = (
        "With a `Retry-After`: wait so long, then send the same again, with the same Idempotency-Key; it is charged once. "
        "Otherwise choose another name, or end what bears this one."
    )


class ImageTooLarge(GatewayError):
    """More bytes, pixels or a longer side than allowed."""

    status, code, title = 413, "image_too_large", "The image is too large"
    remedy = "Scale the picture down or compress it more; `detail` names the limit."


class FileTooLarge(GatewayError):
    """An invoice of more bytes than are taken."""

    status, code, title = 413, "file_too_large", "The file is too large"
    remedy = "Compress the file with gzip, or send it month by month."


class UnsupportedMediaType(GatewayError):
    """A format, or a Content-Type, that is not taken."""

    status, code, title = 415, "unsupported_media_type", "This media type is not taken"
    remedy = (
        "Send JPEG or PNG, and say so: `Content-Type: image/jpeg`, or a form with the field `image`. `detail` names what else is taken."
    )


class InvalidParameter(GatewayError):
    """A parameter is unknown, malformed or out of range; `parameter` names it."""

    status, code, title = 422, "invalid_parameter", "A parameter is not valid"
    remedy = "Correct it: `detail` says what it takes. Nothing was charged."

    def __init__(self, parameter: str, detail: str) -> None:
        super().__init__(detail, parameter=parameter)


class IdempotencyMismatch(GatewayError):
    """The Idempotency-Key was used with another request."""

    status, code, title = 422, "idempotency_mismatch", "This Idempotency-Key belongs to another request"
    remedy = "Take a new Idempotency-Key for each new request; repeat one only with the very same picture and options."


class RateLimited(GatewayError):
    """The key sent more requests or pixels in a second than it may."""

    status, code, title = 429, "rate_limited", "Too many requests"
    remedy = "Wait as many seconds as `Retry-After` says. An admin can make a key that may send more."


class InternalError(GatewayError):
    """A mistake of ours."""

    status, code, title = 500, "internal_error", "The gateway failed"
    remedy = (
        "Tell whoever runs this gateway the `request_id`: its log says what happened. A provider may have been paid, "
        "and may be paid again if it is sent again."
    )


class NoProviderAvailable(GatewayError):
    """Every provider is left out; carries each one's reason."""

    status, code, title = 503, "no_provider_available", "No provider can answer"
    remedy = "`providers` says why each can't; `GET /v1/providers` shows when that changes. Allow more of them, or ask for fewer features."


class LedgerUnavailable(GatewayError):
    """A paid provider was required, and money can't be recorded."""

    status, code, title = 503, "ledger_unavailable", "Money can't be recorded, so none is spent"
    remedy = (
        "Wait as many seconds as `Retry-After` says. Meanwhile `providers=local` needs no ledger. Operators: `/readyz` says what is wrong."
    )


class Overloaded(GatewayError):
    """Shed, to keep serving those already here."""

    status, code, title = 503, "overloaded", "The gateway is overloaded"
    remedy = "Wait as many seconds as `Retry-After` says, then send it again."


class DeadlineExceeded(GatewayError):
    """The deadline was over before anybody had answered."""

    status, code, title = 504, "deadline_exceeded", "Nothing answered in time"
    remedy = "Give a larger `deadline_ms`. A paid call that was on its way goes on and its answer is kept: ask again, and it may be a hit."
