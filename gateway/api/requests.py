"""Around every request: its id in and out, and one canonical log line."""

import logging
import re
import time
from typing import Any

from flask import Flask, Request, Response, g, request

from gateway.api.here import here
from gateway.api.whole_answer import STANDING_HEADERS, WholeAnswer
from gateway.ids import new_id
from gateway.logs import Event
from gateway.monitoring.traffic import note_request

log = logging.getLogger("gateway.requests")

_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})


def tell_each_request(app: Flask) -> None:
    """Give each request an id, answer with it, and log one line. Resources add to it through `g.facts`."""

    @app.before_request
    def begin() -> None:
        given, facts = here(request).environ.get("HTTP_X_REQUEST_ID"), here(g)
        facts.request_id = given if given is not None and _REQUEST_ID.fullmatch(given) else new_id()
        facts.started = time.monotonic()
        facts.facts = {}

    @app.after_request
    def end(response: Response) -> Response:
        seen, asked = here(g), here(request)
        if not isinstance(response, WholeAnswer):
            response.headers.add("X-Request-ID", seen.request_id)
            for name, value in STANDING_HEADERS:
                response.headers.setdefault(name, value)
        route = asked.url_rule.rule if asked.url_rule else None  # the pattern, never the address: that may hold a secret
        seconds = time.monotonic() - seen.started
        note_request(asked.method, route, response.status_code, seconds)
        level = logging.DEBUG if asked.path in _QUIET else logging.INFO
        if log.isEnabledFor(level):
            log.handle(Event(log.name, level, "request.answered", _facts(seen, asked, route, response, seconds)))
        return response


def _facts(seen: Any, asked: Request, route: str | None, response: Response, seconds: float) -> dict[str, object]:
    key = seen.get("key")
    return {
        "request_id": seen.request_id,
        "method": asked.method,
        "route": route,
        "status": response.status_code,
        "latency_ms": round(seconds * 1000, 1),
        "client": None if key is None else key.name,
        **seen.facts,
    }
