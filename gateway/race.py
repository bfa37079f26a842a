"""One request's calls to providers: started one provider after another, sometimes two at a time, collected as they end."""

import queue
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from cost.ledger import LedgerError
from cost.money import FREE, Money
from gateway.line import CallRun, Line
from gateway.metering import Bill
from gateway.outcome import Attempt
from providers.contract import Detection, Feature
from providers.errors import ProviderError
from providers.images import Image


@dataclass
class Leg:
    """One provider in the race, with as many calls as it needs for the features."""

    line: Line
    runs: list[CallRun] = field(default_factory=list)
    ended: list[CallRun] = field(default_factory=list)
    error: ProviderError | LedgerError | None = None

    @property
    def answered(self) -> bool:
        """Every call answered."""
        return self.error is None and len(self.ended) == len(self.runs)

    @property
    def running(self) -> bool:
        """Neither answered nor failed yet."""
        return self.error is None and len(self.ended) < len(self.runs)

    @property
    def detections(self) -> tuple[Detection, ...]:
        """What all its calls found."""
        return tuple(found for run in self.ended if run.answer for found in run.answer.detections)

    @property
    def model(self) -> str:
        """What answered: one name, or one a call."""
        return ", ".join(dict.fromkeys(run.answer.model for run in self.ended if run.answer))

    @property
    def attempts(self) -> Iterator[Attempt]:
        """Every try so far; one that still runs is `late`, and its price is spent until it is known better."""
        for run in self.runs:
            yield from list(run.attempts)
            if run not in self.ended:
                waited_ms = (time.monotonic() - run.started) * 1000
                yield Attempt(self.line.name, tuple(sorted(run.call.features)), "late", run.held, waited_ms)


class Race:
    """The legs of one request and the queue on which their calls report. Used by the request's own thread."""

    def __init__(self, image: Image, features: frozenset[Feature], bill: Bill, deadline: float) -> None:
        """Prepare for a picture; `deadline` is on the monotonic clock, in seconds."""
        self._image = image
        self._features = features
        self._bill = bill
        self.deadline = deadline
        self.legs: list[Leg] = []
        self._ends: queue.SimpleQueue[tuple[Leg, CallRun]] = queue.SimpleQueue()

    def start(self, line: Line) -> Leg:
        """Send a provider on its way. One without a free thread has failed at once."""
        leg = Leg(line)
        self.legs.append(leg)
        for call in line.provider.calls(self._features):
            try:
                leg.runs.append(line.start(self._image, call, self._bill, self.deadline, lambda run: self._ends.put((leg, run))))
            except ProviderError as error:
                leg.error = error
                break
        return leg

    def wait(self, until: float) -> Leg | None:
        """The first leg that has answered; None once `until` is past, or as soon as no leg runs any more."""
        while any(leg.running for leg in self.legs):
            try:
                leg, run = self._ends.get(timeout=max(until - time.monotonic(), 0.0))
            except queue.Empty:
                return None
            leg.ended.append(run)
            leg.error = leg.error or run.error
            if leg.answered:
                return leg
        return None

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Every try of every leg."""
        return tuple(attempt for leg in self.legs for attempt in leg.attempts)

    @property
    def cost(self) -> Money:
        """What all attempts cost, those that run included."""
        return sum((attempt.cost for attempt in self.attempts), FREE)
