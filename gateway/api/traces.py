"""Around every request where traces are wanted: its span."""

from flask import Flask, Response, g, request

from gateway.monitoring.tracing import TRACE, Tracing

_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})


def trace_each_request(app: Flask, tracing: Tracing) -> None:
    """One span a request, with the facts of its log line. Its stages are spans beneath."""

    @app.before_request
    def begin() -> None:
        if request.path not in _QUIET:
            route = request.url_rule.rule if request.url_rule else ""
            g.trace = tracing.begin(f"{request.method} {route}".strip(), dict(request.headers))
            g.trace_token = TRACE.set(g.trace)

    @app.after_request
    def end(response: Response) -> Response:
        if "trace" in g:
            g.trace.end(response.status_code, {"request_id": g.request_id, **g.facts})
        return response

    @app.teardown_request
    def forget(_error: BaseException | None) -> None:
        if "trace_token" in g:  # the thread serves another request next
            TRACE.reset(g.pop("trace_token"))
