"""What can go wrong with a provider, in one language for all of them.

    ProviderError
      ImageRefused            this picture, by this provider, never; another provider may take it
      ProviderThrottled       too many calls right now
      ProviderUnreachable     nothing was sent
      ProviderMisconfigured   credentials, region, a disabled API: an operator must act
      ProviderOverloaded      our own queue or pool is full; nothing was sent
      ProviderTimeout         sent, and no answer in time
      ProviderFailed          the provider's own fault (5xx), or a connection that broke after the request was sent
      ProviderProtocolError   an answer that is not one: truncated, HTML, without the expected keys

Each adapter translates foreign errors by a table, with `from`. An error that no table knows is a `ProviderFailed`: it may have been
billed, so it counts as billed until an invoice says otherwise.
"""


class ProviderError(Exception):
    """A provider did not answer.

    Attributes:
        code: the word for it in attempts, metrics and logs. Never changes meaning.
        retryable: the same call may succeed a moment later.
        maybe_billed: the provider may have billed the call. False only where that is sure, since money is given back by it.
        opens_circuit: says something about the provider's health, not about this picture.
        retry_after_s: how long the provider asked us to wait, or None.
        provider_request_id: the provider's own id of the call, when it told one: for support, never a key.
    """

    code = "failed"
    retryable = False
    maybe_billed = True
    opens_circuit = True

    def __init__(self, message: str, *, retry_after_s: float | None = None, provider_request_id: str | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.provider_request_id = provider_request_id


class ImageRefused(ProviderError):
    """The provider will not take this picture, today or tomorrow."""

    code = "image_refused"
    maybe_billed = False
    opens_circuit = False


class ProviderThrottled(ProviderError):
    """Too many calls. Health is fine; the rate is not."""

    code = "throttled"
    retryable = True
    maybe_billed = False
    opens_circuit = False


class ProviderUnreachable(ProviderError):
    """No connection: refused, unknown host, TLS failure. Not a byte of the request was sent."""

    code = "unreachable"
    retryable = True
    maybe_billed = False


class ProviderMisconfigured(ProviderError):
    """Credentials, permissions, region or a disabled API. Retrying can't help; an operator can."""

    code = "misconfigured"
    maybe_billed = False


class ProviderOverloaded(ProviderError):
    """Our own queue or pool for this provider is full. Nothing was sent."""

    code = "overloaded"
    retryable = True
    maybe_billed = False
    opens_circuit = False


class ProviderTimeout(ProviderError):
    """Sent, and not answered in time. The provider may have done, and billed, the work."""

    code = "timeout"


class ProviderFailed(ProviderError):
    """The provider's own fault, or a connection lost after the request was sent."""

    code = "failed"


class ProviderProtocolError(ProviderError):
    """An answer came that is not an answer. It is never "no objects found"."""

    code = "protocol_error"
