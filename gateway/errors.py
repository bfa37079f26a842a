"""What a client is told when it gets no answer: one class a `code`, with its HTTP status. The codes are a contract; the texts are not.

GatewayError
  InvalidImage 400 · Unauthenticated 401 · BudgetExhausted, OverMaxCost 402 · Forbidden 403 · NotFound 404 · MethodNotAllowed 405
  Conflict 409 · ImageTooLarge 413 · UnsupportedMediaType 415 · InvalidParameter, IdempotencyMismatch 422 · RateLimited 429
  NoProviderAvailable, LedgerUnavailable, Overloaded 503 · DeadlineExceeded 504
"""

from collections.abc import Mapping


class GatewayError(Exception):
    """No answer, and why.

    Attributes:
        status: of HTTP.
        code: never changes meaning.
        title: the same for every error of this code.
        members: more facts for the problem document, JSON types only.
        retry_after_s: when trying again makes sense, or None.
        charged: whether money was, or may have been, spent before it came to this.
    """

    status = 500
    code = "internal_error"
    title = "The gateway failed"
    charged = False

    def __init__(self, detail: str, *, retry_after_s: float | None = None, **members: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.members: Mapping[str, object] = members


class InvalidImage(GatewayError):
    """Not an image, truncated, damaged, made to harm, zero-sized."""

    status, code, title = 400, "invalid_image", "The image can't be read"


class Unauthenticated(GatewayError):
    """No key, or one that is not valid."""

    status, code, title = 401, "unauthenticated", "A valid API key is needed"


class BudgetExhausted(GatewayError):
    """A budget with `when_exhausted: reject` has no room; carries its arithmetic."""

    status, code, title = 402, "budget_exhausted", "The budget is exhausted"


class OverMaxCost(GatewayError):
    """No allowed provider fits the request's own ceiling."""

    status, code, title = 402, "over_max_cost", "No provider fits max_cost_usd"


class Forbidden(GatewayError):
    """A valid key whose role may not."""

    status, code, title = 403, "forbidden", "This key may not do that"


class NotFound(GatewayError):
    """Nothing here, or nothing that this key may see."""

    status, code, title = 404, "not_found", "There is nothing here"


class MethodNotAllowed(GatewayError):
    """The resource exists; the method does not."""

    status, code, title = 405, "method_not_allowed", "The method is not allowed here"


class Conflict(GatewayError):
    """Something of this name exists, or the same request is still running."""

    status, code, title = 409, "conflict", "That conflicts with what is there"


class ImageTooLarge(GatewayError):
    """More bytes, pixels or a longer side than allowed."""

    status, code, title = 413, "image_too_large", "The image is too large"


class FileTooLarge(GatewayError):
    """An invoice of more bytes than are taken."""

    status, code, title = 413, "file_too_large", "The file is too large"


class UnsupportedMediaType(GatewayError):
    """A format, or a Content-Type, that is not taken."""

    status, code, title = 415, "unsupported_media_type", "This media type is not taken"


class InvalidParameter(GatewayError):
    """A parameter is unknown, malformed or out of range; `parameter` names it."""

    status, code, title = 422, "invalid_parameter", "A parameter is not valid"

    def __init__(self, parameter: str, detail: str) -> None:
        super().__init__(detail, parameter=parameter)


class IdempotencyMismatch(GatewayError):
    """The Idempotency-Key was used with another request."""

    status, code, title = 422, "idempotency_mismatch", "This Idempotency-Key belongs to another request"


class RateLimited(GatewayError):
    """The key sends more than it may."""

    status, code, title = 429, "rate_limited", "Too many requests"


class NoProviderAvailable(GatewayError):
    """Every provider is left out; carries each one's reason."""

    status, code, title = 503, "no_provider_available", "No provider can answer"


class LedgerUnavailable(GatewayError):
    """A paid provider was required, and money can't be recorded."""

    status, code, title = 503, "ledger_unavailable", "Money can't be recorded, so none is spent"


class Overloaded(GatewayError):
    """Shed, to keep serving those already here."""

    status, code, title = 503, "overloaded", "The gateway is overloaded"


class DeadlineExceeded(GatewayError):
    """Nothing answered in time."""

    status, code, title = 504, "deadline_exceeded", "Nothing answered in time"
