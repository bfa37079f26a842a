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
from gateway.route import Step
from providers.contract import Detection
from providers.errors import ProviderError
from providers.images import Image


@dataclass
class Leg:
    """One step of the route in the race: a provider, or several that share the features, with as many calls as they need."""

    step: Step
    runs: list[tuple[Line, CallRun]] = field(default_factory=list)
    ended: list[CallRun] = field(default_factory=list)
    error: ProviderError | LedgerError | None = None

    @property
    def name(self) -> str:
        """Its provider or providers."""
        return ", ".join(dict.fromkeys(share.line.name for share in self.step))

    @property
    def paid(self) -> bool:
        """Whether somebody sends an invoice for it."""
        return any(share.line.paid for share in self.step)

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
        for line, run in self.runs:
            yield from list(run.attempts)
            if run not in self.ended:
                waited_ms = (time.monotonic() - run.started) * 1000
                yield Attempt(line.name, tuple(sorted(run.call.features)), "late", run.held, waited_ms)


class Race:
    """The legs of one request and the queue on which their calls report. Used by the request's own thread."""

    def __init__(self, image: Image, bill: Bill, deadline: float) -> None:
        """Prepare for a picture; `deadline` is on the monotonic clock, in seconds."""
        self._image = image
        self._bill = bill
        self.deadline = deadline
        self.legs: list[Leg] = []
        self._ends: queue.SimpleQueue[tuple[Leg, CallRun]] = queue.SimpleQueue()

    def start(self, step: Step) -> Leg:
        """Send a step's providers on their way. One without a free thread has failed at once."""
        leg = Leg(step)
        self.legs.append(leg)
        calls = [(share.line, call) for share in step for call in share.line.provider.calls(share.features)]
        for line, call in calls:
            try:
                run = line.start(self._image, call, self._bill, self.deadline, lambda run: self._ends.put((leg, run)))
            except ProviderError as error:
                leg.error = error
                break
            leg.runs.append((line, run))
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
