"""An answer of which nothing is left to find out when it is sent."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

STANDING_HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
)
"""Of every answer that has no others of these names."""


class WholeAnswer(Response):
    """A body in one piece with all its headers. Werkzeug would copy them, and look through the copy for what may be wrong or missing."""

    def __init__(self, body: bytes, request_id: str, headers: Iterable[tuple[str, str]]) -> None:
        """A 200 in JSON to the request with this id."""
        super().__init__(
            [body],
            headers=[
                ("Content-Type", "application/json"),
                ("Content-Length", str(len(body))),
                *headers,
                ("X-Request-ID", request_id),
                *STANDING_HEADERS,
            ],
        )

    def __call__(self, _environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """WSGI's way to send it."""
        start_response(self.status, list(self.headers))
        return self.response  # type: ignore[return-value]
