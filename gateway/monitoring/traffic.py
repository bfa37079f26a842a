"""What is counted of requests, answers and attempts."""

import functools
from collections.abc import Iterable, Sequence

from gateway.monitoring.counting import count
from gateway.monitoring.numbers import counter, histogram
from gateway.outcome import Attempt, CacheUse

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})

REQUESTS = counter("gateway_requests_total", "Requests answered.", "method", "route", "status")
REQUEST_SECONDS = histogram("gateway_request_seconds", "Time from a request's headers to its answer.", "route")
ANSWERS = counter("gateway_answers_total", "Pictures answered: by whom, from where, and whether money or time was out.", *(
    "provider", "cache", "degraded"
))  # fmt: skip
ATTEMPTS = counter("gateway_attempts_total", "Provider calls, by how they ended.", "provider", "outcome")
ATTEMPT_SECONDS = histogram("gateway_attempt_seconds", "Time of a provider call.", "provider")
ESCALATIONS = counter("gateway_escalations_total", "Answers of a provider that were not thought good enough.", "provider")


def note_request(method: str, route: str | None, status: int, seconds: float) -> None:
    """A request was answered. `route` is the pattern; None: there is no such address."""
    count(_requests(method if method in _METHODS else "other", route or "none", status), seconds)


class _Requests:
    """Those of one method, route and status: one note of each both counts and times it."""

    def __init__(self, method: str, route: str, status: int) -> None:
        self._number = REQUESTS.child(method=method, route=route, status=str(status))
        self._seconds = REQUEST_SECONDS.child(route=route)

    def take(self, seconds: Sequence[float]) -> None:
        self._number.take([len(seconds)])
        self._seconds.take(seconds)


_requests = functools.cache(_Requests)


def note_answer(provider: str | None, cache: CacheUse, *, degraded: bool = False) -> None:
    """A client's picture was answered; a dry run, which nobody has answered, does not count."""
    if provider is not None:
        ANSWERS.add(provider=provider, cache=cache, degraded="true" if degraded else "false")


def note_attempts(attempts: Iterable[Attempt]) -> None:
    """Providers were called, for a client or beside it."""
    for attempt in attempts:
        ATTEMPTS.add(provider=attempt.provider, outcome=attempt.outcome)
        ATTEMPT_SECONDS.observe(attempt.latency_ms / 1000, provider=attempt.provider)
        if attempt.outcome == "escalated":
            ESCALATIONS.add(provider=attempt.provider)
