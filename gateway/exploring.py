"""Sampled exploration: a few pictures are shown to providers that were not asked about them, so that what was learned stays true.

After the answer, on a thread and on calls of its own, under a budget of its own: no client waits for it or pays for it.
"""

import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sqlalchemy.exc import SQLAlchemyError

from cost.comparisons import Comparison, ComparisonStore, Reply
from cost.ledger import Budget, Ledger, LedgerError
from cost.money import FREE, Money
from gateway.comparing import found_of, replies_of
from gateway.escalate import Escalation
from gateway.ids import new_id
from gateway.line import Line
from gateway.metering import Bill
from gateway.race import Race
from gateway.route import Share
from gateway.wire.options import Options
from providers.contract import Feature
from providers.images import Image

log = logging.getLogger(__name__)

CLIENT = "exploration"
"""Who pays, in the ledger and in reports; and the name of the budget."""

_WAITING_MAX = 4
"""Pictures in memory; more than these are not explored."""

_DEADLINE_S = 15.0
_IDLE_S = 1.0


@dataclass(frozen=True, slots=True)
class _Task:
    """A picture, what its client asked, and what was answered by feature and provider."""

    image: Image
    options: Options
    request_id: str
    replies: Mapping[Feature, Mapping[str, Reply]]


@dataclass
class Explorer:
    """One a process, shared by its threads; `close` it.

    Attributes:
        lines: providers, with calls and circuits of their own.
        share: of the pictures that were asked about, in [0, 1].
        usd_per_day: what it may spend on all of them together, in all processes.
    """

    lines: Mapping[str, Line]
    ledger: Ledger
    comparisons: ComparisonStore
    share: float
    usd_per_day: Money
    chance: Callable[[], float] = random.random
    _waiting: "queue.Queue[_Task | None]" = field(default_factory=lambda: queue.Queue(_WAITING_MAX))
    _budget_was_set: bool = False

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._run, name="exploration", daemon=True)
        self._thread.start()

    def takes(self, image: Image, options: Options, bill: Bill, answered: Escalation) -> bool:
        """Perhaps explore a picture that was just answered; then its record is written here. Never waits and never fails."""
        if self.chance() >= self.share or not answered.legs:
            return False
        task = _Task(image, options, bill.request_id, replies_of(answered))
        if not any(self._others(task, feature) for feature in options.features):
            return False
        try:
            self._waiting.put_nowait(task)
        except queue.Full:
            return False
        return True

    def close(self) -> None:
        """Explore what waits, and end."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (task := self._waiting.get()) is not None:
            try:
                self._set_budget()
                self._explore(task)
            except (LedgerError, SQLAlchemyError) as error:
                log.warning("exploration.no_budget", extra={"error": type(error).__name__})
            except Exception:
                log.exception("exploration.failed")

    def _set_budget(self) -> None:
        """Its budget must stand before anything is asked, also where somebody has ended it since: the cap is the ledger's to keep."""
        if self._budget_was_set and any(status.budget.name == CLIENT for status in self.ledger.budgets()):
            return
        self.ledger.put_budget(Budget(CLIENT, "client", CLIENT, "day", "UTC", self.usd_per_day))
        self._budget_was_set = True

    def _explore(self, task: _Task) -> None:
        for feature in task.options.features:
            others = self._others(task, feature)
            replies = {**task.replies.get(feature, {}), **self._ask(task.image, feature, others)}
            if len(replies) > 1:
                picture = {"width": task.image.width, "height": task.image.height}
                self.comparisons.add(
                    Comparison(
                        digest=task.image.digest,
                        feature=feature,
                        origin="exploration",
                        replies=replies,
                        picture=picture,
                        request_id=task.request_id,
                    )
                )

    def _others(self, task: _Task, feature: Feature) -> list[Line]:
        """Who has not been asked about this, may be by the client's allow-list, and could answer."""
        known = task.replies.get(feature, {})
        allowed = [self.lines[name] for name in task.options.providers or self.lines if name in self.lines and name not in known]
        wanted = frozenset({feature})
        return [line for line in allowed if wanted <= line.provider.features and line.provider.refusal(task.image, wanted) is None]

    def _ask(self, image: Image, feature: Feature, others: list[Line]) -> dict[str, Reply]:
        """Each of them once, one request of its own in the ledger; who fails or has no money is left out."""
        wanted = frozenset({feature})
        race = Race(image, Bill(new_id(), CLIENT), time.monotonic() + _DEADLINE_S)
        for line in others:
            if not line.throttled(wanted) and line.allow(wanted, _DEADLINE_S):
                race.start((Share(line, wanted),))
        while any(leg.running for leg in race.legs) and time.monotonic() < race.deadline:
            race.wait(min(race.deadline, time.monotonic() + _IDLE_S))
        race.close()
        replies = {}
        for leg in race.legs:
            if leg.answered and leg.runs:
                line, run = leg.runs[0]
                cost = sum((run.cost for _, run in leg.runs), FREE)
                replies[line.name] = Reply(
                    tuple(found_of(d) for d in leg.detections if d.feature == feature), cost, run.latency_ms, leg.model
                )
        return replies
