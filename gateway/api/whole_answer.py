"""An answer of which nothing is left to find out when it is sent."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flask import Response
from werkzeug.datastructures import Headers
from werkzeug.utils import cached_property

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

STANDING_HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
)
"""Of every answer that has no others of these names."""


class WholeAnswer(Response):
    """A 200 in JSON, in one piece, with all its headers. Werkzeug would copy them, twice, and look for what may be wrong or missing.

    What Werkzeug makes of a response is made only for who asks for it: nobody does on the way out.
    """

    status = "200 OK"  # type: ignore[override]
    status_code = 200
    direct_passthrough = False

    def __init__(self, body: bytes, request_id: str, headers: Sequence[tuple[str, str]]) -> None:
        self.response: list[bytes] = [body]
        self._on_close = []
        self._told = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            *headers,
            ("X-Request-ID", request_id),
            *STANDING_HEADERS,
        ]

    @cached_property
    def headers(self) -> Headers:
        """From the first look on these are sent."""
        return Headers(self._told)

    def __call__(self, _environ: "WSGIEnvironment", start_response: "StartResponse") -> list[bytes]:
        """WSGI's way to send it."""
        start_response(self.status, list(self.headers) if "headers" in self.__dict__ else self._told)
        return self.response
