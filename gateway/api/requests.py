"""Around every request: its id in and out, and one canonical log line."""

import logging
import re
import time
from typing import Any

from flask import Flask, Request, Response, g, request

from gateway.api.here import here
from gateway.ids import new_id
from gateway.monitoring.traffic import note_request

log = logging.getLogger("gateway.requests")

_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
_HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
)


def tell_each_request(app: Flask) -> None:
    """Give each request an id, answer with it, and log one line. Resources add to it through `g.facts`."""

    @app.before_request
    def begin() -> None:
        given, facts = here(request).headers.get("X-Request-ID"), here(g)
        facts.request_id = given if given is not None and _REQUEST_ID.fullmatch(given) else new_id()
        facts.started = time.monotonic()
        facts.facts = {}

    @app.after_request
    def end(response: Response) -> Response:
        seen, asked, headers = here(g), here(request), response.headers
        headers.add("X-Request-ID", seen.request_id)
        for name, value in _HEADERS:
            if name not in headers:
                headers.add(name, value)
        note_request(asked.method, _route(asked), response.status_code, time.monotonic() - seen.started)
        level = logging.DEBUG if asked.path in _QUIET else logging.INFO
        if log.isEnabledFor(level):
            log.log(level, "request.answered", extra=_facts(seen, asked, response))
        return response


def _facts(seen: Any, asked: Request, response: Response) -> dict[str, object]:
    key = seen.get("key")
    return {
        "request_id": seen.request_id,
        "method": asked.method,
        "route": _route(asked),
        "status": response.status_code,
        "latency_ms": round((time.monotonic() - seen.started) * 1000, 1),
        "client": None if key is None else key.name,
        **seen.facts,
    }


def _route(asked: Request) -> str | None:
    """The pattern, never the address: that may hold a secret."""
    return asked.url_rule.rule if asked.url_rule else None
