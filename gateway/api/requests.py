"""Around every request: its id in and out, and one canonical log line."""

import logging
import re
import time

from flask import Flask, Response, g, request

from gateway.ids import new_id
from gateway.monitoring.traffic import note_request

log = logging.getLogger("gateway.requests")

_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
}


def tell_each_request(app: Flask) -> None:
    """Give each request an id, answer with it, and log one line. Resources add to it through `g.facts`."""

    @app.before_request
    def begin() -> None:
        given = request.headers.get("X-Request-ID", "")
        g.request_id = given if _REQUEST_ID.fullmatch(given) else new_id()
        g.started = time.monotonic()
        g.facts = {}

    @app.after_request
    def end(response: Response) -> Response:
        response.headers["X-Request-ID"] = g.request_id
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        note_request(request.method, _route(), response.status_code, time.monotonic() - g.started)
        log.log(logging.DEBUG if request.path in _QUIET else logging.INFO, "request.answered", extra=_facts(response))
        return response


def _facts(response: Response) -> dict[str, object]:
    return {
        "request_id": g.request_id,
        "method": request.method,
        "route": _route(),
        "status": response.status_code,
        "latency_ms": round((time.monotonic() - g.started) * 1000, 1),
        "client": g.key.name if "key" in g else None,
        **g.facts,
    }


def _route() -> str | None:
    """The pattern, never the address: that may hold a secret."""
    return request.url_rule.rule if request.url_rule else None
