"""One request's calls to providers: started one step of the route after another, sometimes two at a time, collected as they end."""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from cost.ledger import LedgerError
from cost.money import FREE, Money
from gateway.call_run import CallRun
from gateway.line import Line
from gateway.metering import Bill
from gateway.monitoring.stages import stage
from gateway.outcome import AnsweredCall, Attempt
from gateway.route import Step
from providers.contract import Detection, Feature
from providers.errors import ImageRefused, ProviderError, ProviderOverloaded
from providers.images import Image


@dataclass
class Leg:
    """One step of the route in the race: a provider, or several that share the features, with as many calls as they need.

    Attributes:
        escalated: it answered, and another was asked because its answer looked weak.
    """

    step: Step
    runs: list[tuple[Line, CallRun]] = field(default_factory=list)
    ended: list[CallRun] = field(default_factory=list)
    error: ProviderError | LedgerError | None = None
    escalated: bool = False

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
    def calls(self) -> tuple[AnsweredCall, ...]:
        """Its calls, each with what it cost."""
        return tuple(
            AnsweredCall(line.name, run.call.features, run.answer.model, run.call.usage, run.price) for line, run in self.runs if run.answer
        )


class Race:
    """The legs of one request and the queue on which their calls report. Used by the request's own thread."""

    def __init__(self, image: Image, bill: Bill, deadline: float) -> None:
        """Prepare for a picture; `deadline` is on the monotonic clock, in seconds."""
        self._image = image
        self._bill = bill
        self.deadline = deadline
        self.legs: list[Leg] = []
        self._ends: queue.SimpleQueue[tuple[Leg, CallRun]] = queue.SimpleQueue()
        self._tell_late: Callable[[Leg | None], None] | None = None
        self._guard = threading.Lock()

    def start(self, step: Step) -> Leg:
        """Send a step's providers, just let pass, on their way: all of its calls or none.

        Without a thread or money for one of them it has failed.
        """
        leg, passed_at = Leg(step), time.monotonic()
        self.legs.append(leg)
        try:
            runs = self._prepared(step, passed_at)
        except (ProviderError, LedgerError) as error:
            leg.error = error
            for share in step:
                share.line.leave(share.features, passed_at)
            return leg
        for line, run in runs:
            try:
                line.start(self._image, run, self._bill, self.deadline, lambda run: self._report(leg, run))
            except ProviderError as error:
                run.held.failed(error)
                leg.error = error
            else:
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

    def close(self) -> tuple[Attempt, ...]:
        """The request is over: no further try begins. Every try of every leg, those that still run with their price."""
        return tuple(_told(attempt, leg) for leg in self.legs for _, run in leg.runs for attempt in run.close())

    def when_over(self, tell: Callable[[Leg | None], None]) -> None:
        """After `close`: once the last paid call that still runs has ended, tell in a thread of its own which leg has answered, or None.

        It is paid, so it is worth keeping, though its client has another answer or none.
        """
        self._tell_late = tell
        self._tell_if_over()

    def refusals(self) -> list[tuple[tuple[str, frozenset[Feature]], str]]:
        """Who would not take the picture, in which call, and why."""
        ended = [(line.name, run) for leg in self.legs for line, run in leg.runs]
        return [((name, run.call.features), str(run.error)) for name, run in ended if isinstance(run.error, ImageRefused)]

    @property
    def paid_running(self) -> bool:
        """Whether a paid answer may still come."""
        return any(leg.paid and leg.running for leg in self.legs)

    @property
    def cost(self) -> Money:
        """What all attempts cost so far, those that run included."""
        return sum((run.cost for leg in self.legs for _, run in leg.runs), FREE)

    def _report(self, leg: Leg, run: CallRun) -> None:
        self._ends.put((leg, run))
        if self._tell_late is not None:
            self._tell_if_over()

    def _tell_if_over(self) -> None:
        with self._guard:
            while not self._ends.empty():
                leg, run = self._ends.get()
                leg.ended.append(run)
                leg.error = leg.error or run.error
            tell = self._tell_late
            if tell is None or self.paid_running:
                return
            self._tell_late = None
        answered = next((leg for leg in self.legs if leg.paid and leg.answered), None)
        threading.Thread(target=tell, args=(answered,), name="late-answer", daemon=True).start()

    def _prepared(self, step: Step, passed_at: float) -> list[tuple[Line, CallRun]]:
        """A thread and the money for each call. What was taken is given back if one of them has to be refused."""
        calls = [(share.line, call) for share in step for call in share.line.provider.calls(share.features)]
        taken: list[Line] = []
        runs: list[tuple[Line, CallRun]] = []
        try:
            for line, _ in calls:
                line.threads.take()
                taken.append(line)
            with stage("reserve"):
                for line, call in calls:
                    runs.append((line, CallRun(line.name, call, line.hold(call, self._bill, self.deadline), passed_at)))
            if time.monotonic() >= self.deadline:
                raise ProviderOverloaded("The time was over before the call could be made.")  # noqa: TRY301 -- undone below, like all others
        except BaseException:  # whatever it was: no place is lost and no hold is left open
            for line in taken:
                line.threads.give_back()
            for _, run in runs:
                run.held.failed(ProviderOverloaded("A call beside it could not be made."))
            raise
        return runs


def _told(attempt: Attempt, leg: Leg) -> Attempt:
    return replace(attempt, outcome="escalated") if leg.escalated and attempt.outcome == "answered" else attempt
