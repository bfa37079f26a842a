"""OpenTelemetry traces: one span a request and one a stage, where `OTEL_EXPORTER_OTLP_ENDPOINT` names who takes them.

Off by default: nothing of OpenTelemetry is imported then. It needs the extra `otel` and reads its other settings (`OTEL_SERVICE_NAME`,
`OTEL_TRACES_SAMPLER`, `OTEL_EXPORTER_OTLP_HEADERS`, …) itself.
Source: https://opentelemetry.io/docs/specs/otel/protocol/exporter/
"""

import contextvars
import importlib.util
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

TRACE: ContextVar["Trace | None"] = ContextVar("trace", default=None)
"""The request that is being answered here, if it is traced."""


class Span:
    """A stage of a traced request."""

    def __init__(self, span: Any) -> None:
        """Its beginning is now."""
        self._span = span

    def end(self, error: BaseException | None = None) -> None:
        """Its end is now. Of an error only the type is told: its text may hold what is nobody else's business."""
        if error is not None:
            self._span.set_status(_error_status(type(error).__name__))
        self._span.end()


class Trace:
    """A traced request. Its spans may be made in any thread."""

    def __init__(self, tracer: Any, name: str, headers: Mapping[str, str]) -> None:
        """Begin it, as a part of the trace that `traceparent` among the request's headers names."""
        from opentelemetry import trace  # noqa: PLC0415 -- only where traces are wanted
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

        above = TraceContextTextMapPropagator().extract({name.lower(): text for name, text in headers.items()})
        self._tracer = tracer
        self._span = tracer.start_span(name, context=above, kind=trace.SpanKind.SERVER)
        self._context = trace.set_span_in_context(self._span)

    def span(self, name: str, facts: Mapping[str, str]) -> Span:
        """A stage that begins now."""
        return Span(self._tracer.start_span(name, context=self._context, attributes=facts))

    def end(self, status: int, facts: Mapping[str, object]) -> None:
        """The request is answered; `facts` of the log line become attributes."""
        self._span.set_attribute("http.response.status_code", status)
        for name, value in facts.items():
            if value is not None:
                self._span.set_attribute(name, value if isinstance(value, str | int | float | bool | list) else str(value))
        if status >= 500:
            self._span.set_status(_error_status(str(status)))
        self._span.end()


class Tracing:
    """Sends the traces of one process. Made after fork, since it has a thread."""

    def __init__(self, endpoint: str) -> None:
        """Send to this address: OTLP over HTTP."""
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 -- see above
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        self._provider = TracerProvider(resource=Resource({"service.name": "vision-gateway"}).merge(OTELResourceDetector().detect()))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
        self._tracer = self._provider.get_tracer("vision-gateway")

    def begin(self, name: str, headers: Mapping[str, str]) -> Trace:
        """A request has come."""
        return Trace(self._tracer, name, headers)

    def close(self) -> None:
        """Send what waits, and end."""
        self._provider.shutdown()


def installed() -> bool:
    """Whether the extra `otel` is."""
    try:
        return importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        return False


def carried(work: Callable[[], None]) -> Callable[[], None]:
    """The same work for another thread, as a part of the request that is being traced here."""
    if TRACE.get() is None:
        return work
    context = contextvars.copy_context()
    return lambda: context.run(work)


def _error_status(reason: str) -> Any:
    from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415 -- see above

    return Status(StatusCode.ERROR, reason)
