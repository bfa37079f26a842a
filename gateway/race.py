"""One request's calls to providers: started one provider after another, sometimes two at a time, collected as they end."""

import queue
import time
from dataclasses import dataclass, field

from cost.money import FREE
from gateway.line import CallEnd, Line
from gateway.outcome import Attempt
from providers.contract import Call, Detection, Feature
from providers.errors import ProviderError
from providers.images import Image


@dataclass
class Leg:
    """One provider in the race, with as many calls as it needs for the features."""

    line: Line
    calls: tuple[Call, ...]
    started: float
    ends: list[CallEnd] = field(default_factory=list)
    error: ProviderError | None = None

    @property
    def answered(self) -> bool:
        """Every call answered."""
        return self.error is None and len(self.ends) == len(self.calls)

    @property
    def running(self) -> bool:
        """Neither answered nor failed yet."""
        return self.error is None and len(self.ends) < len(self.calls)

    @property
    def detections(self) -> tuple[Detection, ...]:
        """What all its calls found."""
        return tuple(found for end in self.ends if end.answer for found in end.answer.detections)

    @property
    def model(self) -> str:
        """What answered: one name, or one a call."""
        return ", ".join(dict.fromkeys(end.answer.model for end in self.ends if end.answer))


class Race:
    """The legs of one request and the queue on which their calls report. Used by the request's own thread."""

    def __init__(self, image: Image, features: frozenset[Feature], deadline: float) -> None:
        """Prepare for a picture; `deadline` is on the monotonic clock, in seconds."""
        self._image = image
        self._features = features
        self.deadline = deadline
        self.legs: list[Leg] = []
        self._ends: queue.SimpleQueue[tuple[Leg, CallEnd]] = queue.SimpleQueue()

    def start(self, line: Line) -> Leg:
        """Send a provider on its way. A provider without a free thread has failed at once."""
        leg = Leg(line, line.provider.calls(self._features), time.monotonic())
        self.legs.append(leg)
        for call in leg.calls:
            try:
                line.start(self._image, call, self.deadline, lambda end, leg=leg: self._ends.put((leg, end)))  # type: ignore[misc]
            except ProviderError as error:
                self._note(leg, CallEnd(call, 0.0, error=error))
                break
        return leg

    def wait(self, until: float) -> Leg | None:
        """The first leg that has answered; None once `until` is past, or as soon as no leg runs any more."""
        while any(leg.running for leg in self.legs):
            try:
                leg, end = self._ends.get(timeout=max(until - time.monotonic(), 0.0))
            except queue.Empty:
                return None
            self._note(leg, end)
            if leg.answered:
                return leg
        return None

    def attempts(self) -> tuple[Attempt, ...]:
        """Every call so far; one that still runs is `late`."""
        now = time.monotonic()
        return tuple(
            _attempt(leg, call, next((end for end in leg.ends if end.call is call), None), now) for leg in self.legs for call in leg.calls
        )

    @staticmethod
    def _note(leg: Leg, end: CallEnd) -> None:
        leg.ends.append(end)
        if end.error is not None:
            leg.error = leg.error or end.error


def _attempt(leg: Leg, call: Call, end: CallEnd | None, now: float) -> Attempt:
    features = tuple(sorted(call.features))
    if end is None:
        return Attempt(leg.line.name, features, "late", FREE, (now - leg.started) * 1000)
    outcome = end.error.code if end.error else "answered"
    return Attempt(leg.line.name, features, outcome, end.cost, end.latency_ms)
