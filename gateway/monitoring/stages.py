"""How long each stage of a request takes: read, look, choose, reserve, detect, settle, write."""

import functools
import time
from types import TracebackType
from typing import Literal

from gateway.monitoring.counting import count
from gateway.monitoring.numbers import histogram
from gateway.monitoring.tracing import TRACE, Span

Stage = Literal["read", "look", "choose", "reserve", "detect", "settle", "write"]

SECONDS = histogram("gateway_stage_seconds", "Time in each stage of a request; stages of several attempts count each.", "stage")


_seconds = functools.cache(lambda name: SECONDS.child(stage=name))


class stage:  # noqa: N801 -- used as `with stage("choose"):`
    """Times what is done inside, and makes it a span where the request is traced. What is raised inside goes on."""

    __slots__ = ("_facts", "_name", "_span", "_started")

    def __init__(self, name: Stage, **facts: str) -> None:
        """Time it as `name`; `facts` are attributes of the span only."""
        self._name = name
        self._facts = facts

    def __enter__(self) -> None:
        trace = TRACE.get()
        self._span: Span | None = None if trace is None else trace.span(self._name, self._facts)
        self._started = time.perf_counter()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        count(_seconds(self._name), time.perf_counter() - self._started)
        if self._span is not None:
            self._span.end(error)
