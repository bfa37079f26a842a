"""How often a provider may be asked once it has said that it was too often: half as often, and a little more with each second."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

_SEEN = 256
_SEEN_S = 1.0
_REGAINED_S = 10.0
_FORGOTTEN_S = 30.0
_RATE_MIN = 1.0
"""Calls a second that were too many, at the least: so half of them is one in two seconds, and a quota that is mended is found to be."""

_REST_S_MAX = 300.0
"""Who asks for more is asked once then, and may say so again."""


@dataclass(slots=True)
class _Limit:
    """Calls a second that were `too_many` when they were refused at `since`; none before `rest_until`, the next at `next_at`."""

    too_many: float
    since: float
    rest_until: float
    next_at: float

    def rate(self, now: float) -> float:
        return self.too_many * (0.5 + 0.5 * max(now - self.rest_until, 0.0) / _REGAINED_S)


class Throttle:
    """Of one feature of one provider in one process, shared by its threads. It limits nothing until the first refusal.

    Then nobody should ask for as long as the provider wants, and afterwards half as often as when it was too often. Each second adds a
    twentieth: all of it after ten seconds, no limit after thirty. Many refusals of calls that were on their way together are one.
    Additive increase, multiplicative decrease, as TCP has it: https://www.rfc-editor.org/rfc/rfc5681, section 3.1.
    """

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._started: deque[float] = deque(maxlen=_SEEN)
        self._limit: _Limit | None = None
        self._lock = threading.Lock()

    def problem(self) -> str:
        """Why somebody else should rather be asked now; empty if there is no reason."""
        if self._limit is None:  # without the lock: nearly always
            return ""
        with self._lock:
            now = self._monotonic()
            limit = self._in_force(now)
            if limit is None or now >= max(limit.rest_until, limit.next_at):
                return ""
            if now < limit.rest_until:
                return f"throttled: it is to be left alone for {limit.rest_until - now:.1f} s more"
            return f"throttled: it is asked {limit.rate(now):.1f} times a second for now"

    def take(self) -> float | None:
        """A call begins. Its time, for `refused`; None where it was not its turn, and there was nobody else to ask."""
        now = self._monotonic()
        self._started.append(now)
        if self._limit is None:
            return now
        with self._lock:
            limit = self._in_force(now)
            if limit is None:
                return now
            was_turn = now >= max(limit.rest_until, limit.next_at)
            between_s = 1 / limit.rate(now)
            limit.next_at = min(max(limit.next_at, now - between_s) + between_s, now + 2 * between_s)
            return now if was_turn else None

    def refused(self, began: float | None, wait_s: float | None) -> None:
        """It was too often.

        Args:
            began: what `take` returned for the call.
            wait_s: for how long the provider wants to be left alone, where it says so.
        """
        with self._lock:
            now = self._monotonic()
            limit = self._in_force(now)
            rest_until = now + min(wait_s or 0.0, _REST_S_MAX)
            if limit is not None and (began is None or began < limit.since):  # it tells nothing new of the rate
                limit.rest_until = max(limit.rest_until, rest_until)
                return
            too_many = max(self._seen(now) if limit is None else limit.rate(now), _RATE_MIN)
            self._limit = _Limit(too_many, now, rest_until, max(now + 2 / too_many, rest_until))

    def _in_force(self, now: float) -> _Limit | None:
        if self._limit is not None and now >= self._limit.rest_until + _FORGOTTEN_S:
            self._limit = None
        return self._limit

    def _seen(self, now: float) -> float:
        """Calls in the second before."""
        latest = list(self._started)
        window_s = min(_SEEN_S, now - latest[0]) if len(latest) == _SEEN else _SEEN_S
        return sum(1 for at in latest if at > now - window_s) / window_s if window_s > 0 else _SEEN
