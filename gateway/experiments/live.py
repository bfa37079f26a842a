"""Clients' pictures in experiments: a split decides how a request is answered; everything else happens after it, off its path."""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

from cost.comparisons import ComparisonStore
from cost.every import Every
from cost.ledger import Ledger
from cost.ledger.terms import TAGS_MAX
from cost.ledger.times import utc_now
from gateway.cache.values import Kept
from gateway.dispatch import Dispatcher
from gateway.errors import GatewayError, NoProviderAvailable, Overloaded, OverMaxCost
from gateway.experiments.asking import BudgetSpent, NotNow, answer_of, ask, check_spare_room
from gateway.experiments.assignment import arm_of, is_sampled, unit_hash
from gateway.experiments.notes import Notes
from gateway.experiments.off_path import Job, OffPath
from gateway.experiments.store import Experiment, ExperimentStore, NoExperiment
from gateway.experiments.terms import TAG, Arm, ArmAnswer, Observation
from gateway.metering import Bill
from gateway.outcome import Outcome
from gateway.pictures import KeptPictures
from gateway.wire.options import Options
from providers.images import Image

log = logging.getLogger(__name__)

_REFRESHED_EVERY_S = 1.0
_LOOKED_EVERY, _LOOKED_AGAIN = 50, 1.1
"""Where an experiment is to end by its verdict: the next look comes after so many pictures more, and a tenth of those seen."""

_DONE_MAX = 50_000
"""Pictures that a process remembers to have compared; the database knows all of them."""

_FALL_BACK = (NoProviderAvailable, Overloaded, OverMaxCost)
"""An arm that can't answer costs its client nothing: the request goes the way it would have gone without the experiment."""


class LiveExperiments:
    """Answers requests, in experiments or not. One a process, shared by its threads; `close` it."""

    def __init__(
        self,
        store: ExperimentStore,
        pictures: KeptPictures,
        comparisons: ComparisonStore,
        ledger: Ledger,
        dispatcher: Dispatcher,
        behind: Dispatcher,
        *,
        busy: int,
    ) -> None:
        """Answer clients with `dispatcher`; ask everything else of `behind`, which shares neither threads nor circuits with it."""
        self._store, self._ledger = store, ledger
        self._notes = Notes(store, pictures, comparisons)
        self._dispatcher, self._behind = dispatcher, behind
        self.off_path = OffPath(busy=busy)
        self._running: tuple[Experiment, ...] = ()
        self._shed: Counter[str] = Counter()
        self._looked_at: Counter[str] = Counter()
        self._asking: set[tuple[str, str]] = set()
        self._done: set[tuple[str, str]] = set()
        self._guard = threading.Lock()
        self._every = Every(_REFRESHED_EVERY_S, self.refresh, "experiments")
        self._every.now()

    def look(self, digest: str, options: Options, bill: Bill, picture: Callable[[], Image]) -> Kept | None:
        """As `Dispatcher.look`, but in a split, whose arm decides what may serve. `picture` is read later, if it is to be compared."""
        running = self._running
        if any(one.terms.mode == "split" and _may_be_split(one, digest, options, bill) for one in running):
            return None
        kept = self._dispatcher.look(digest, options, bill)
        if kept is not None:
            known = ArmAnswer(kept.detections(), kept.provider, kept.model) if running else ArmAnswer()
            for one in self._comparing(running, digest, options, bill):
                mine = {one.terms.arms[0].name: known} if one.terms.mode == "shadow" else {}
                self._compare_later(one, digest, options, bill, mine, picture, _size(kept.width, kept.height))
        return kept

    def detect(self, image: Image, options: Options, bill: Bill, deadline: float) -> Outcome:
        """As `Dispatcher.detect`, in the arm of the split that the request belongs to; then let the other experiments have the picture."""
        running = self._running
        if not running or options.dry_run:
            return self._dispatcher.detect(image, options, bill, deadline)
        with self.off_path.client():
            split = next((one for one in running if one.terms.mode == "split" and _may_be_split(one, image.digest, options, bill)), None)
            if split is None:
                outcome = self._dispatcher.detect(image, options, bill, deadline)
            else:
                outcome = self._detect_in_arm(split, image, options, bill, deadline)
        for one in self._comparing(running, image.digest, options, bill):
            known = {arm.name: answer_of(outcome) for arm in one.terms.arms if _is_answer_of(arm, outcome, one)}
            self._compare_later(one, image.digest, options, bill, known, lambda: image, _size(image.width, image.height))
        return outcome

    def refresh(self) -> None:
        """Notice experiments that were started or stopped, by whichever process, and end those whose days are over.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database is away; those that ran go on.
        """
        running = self._store.running()
        for one in running:
            days = one.terms.stop.days
            if days is not None and one.started_at and utc_now() >= one.started_at + timedelta(days=days):
                self._stop(one, "its days are over")
        self._running = tuple(one for one in self._store.running() if one.terms.sample_rate) if running else ()
        with self._guard:
            shed, self._shed = self._shed, Counter()
        for name, count in shed.items():
            self._store.note_shed(name, count)
        for name in self._notes.write():
            self._stop_if_due(name)

    def close(self) -> None:
        """Shed what waits and let what is asked be answered."""
        self.off_path.close()
        self._every.close()
        self._every.now()  # writes what was kept
        for line in self._behind.lines.values():
            line.threads.close()  # the providers are the other dispatcher's, which closes them

    def _detect_in_arm(self, experiment: Experiment, image: Image, options: Options, bill: Bill, deadline: float) -> Outcome:
        arm = arm_of(experiment.key, _unit(experiment, image.digest, options, bill), experiment.terms.arms)
        tags = bill.tags if len(bill.tags) >= TAGS_MAX else {**bill.tags, TAG: experiment.name}
        try:
            outcome = self._dispatcher.detect(image, arm.options(options), replace(bill, tags=tags), deadline)
        except GatewayError as error:
            self._keep_later(experiment, image, options, bill, {arm.name: ArmAnswer(error=error.code)})
            if error.charged or not isinstance(error, _FALL_BACK):
                raise
            return self._dispatcher.detect(image, options, bill, deadline)
        self._keep_later(experiment, image, options, bill, {arm.name: answer_of(outcome)})
        return outcome

    def _keep_later(self, experiment: Experiment, image: Image, options: Options, bill: Bill, answers: Mapping[str, ArmAnswer]) -> None:
        unit = unit_hash(experiment.key, _unit(experiment, image.digest, options, bill))
        observation = Observation(image.digest, unit, image.width, image.height, answers)
        size = _size(image.width, image.height)
        self.off_path.offer(Job(size, lambda: self._keep(experiment, image, observation), lambda: self._note_shed(experiment)))

    def _comparing(self, running: Sequence[Experiment], digest: str, options: Options, bill: Bill) -> Iterator[Experiment]:
        """The experiments that this picture is still to be compared in."""
        if not options.dry_run:
            for one in running:
                if one.terms.mode != "split" and (one.name, digest) not in self._done and _takes_part(one, digest, options, bill):
                    yield one

    def _compare_later(
        self,
        experiment: Experiment,
        digest: str,
        options: Options,
        bill: Bill,
        known: Mapping[str, ArmAnswer],
        picture: Callable[[], Image],
        size: int,
    ) -> None:
        unit = unit_hash(experiment.key, _unit(experiment, digest, options, bill))
        self.off_path.offer(Job(size, lambda: self._compare(experiment, picture(), unit, known), lambda: self._note_shed(experiment)))

    def _compare(self, experiment: Experiment, image: Image, unit: str, known: Mapping[str, ArmAnswer]) -> None:
        """Ask the arms whose answers are not known yet."""
        terms = experiment.terms
        with self._alone(experiment.name, image.digest) as first:
            if not first or not self._still_running(experiment):
                return
            if self._notes.has(terms.name, image.digest):
                self._note_done(terms.name, image.digest)
                return
            answers = dict(known)
            try:
                for arm in terms.arms:
                    if arm.name not in answers:
                        check_spare_room(self._ledger, terms)
                        answers[arm.name] = ask(self._behind, image, terms, arm)
            except NotNow:
                self._note_shed(experiment)
                return
            except BudgetSpent as error:
                self._stop(experiment, str(error))
                return
            self._keep(experiment, image, Observation(image.digest, unit, image.width, image.height, answers))
            self._note_done(terms.name, image.digest)

    def _keep(self, experiment: Experiment, image: Image, observation: Observation) -> None:
        if not self._still_running(experiment):
            return
        self._notes.add(experiment.terms, image, observation)

    def _stop_if_due(self, name: str) -> None:
        """Further pictures of an experiment have been written: that may have been enough."""
        experiment = next((one for one in self._running if one.name == name), None)
        if experiment is None:
            return
        stop, pictures = experiment.terms.stop, self._store.pictures(name)
        if stop.pictures is not None and pictures >= stop.pictures:
            self._stop(experiment, f"{pictures} pictures were compared")
        elif stop.decided and pictures >= self._looked_at[name] * _LOOKED_AGAIN + _LOOKED_EVERY:
            self._looked_at[name] = pictures
            if self._is_decided(experiment):
                self._stop(experiment, "it is decided")

    def _is_decided(self, experiment: Experiment) -> bool:
        from gateway.experiments.report import build_report  # noqa: PLC0415 -- scipy, which requests have no need of
        from gateway.experiments.verdict import verdict_of  # noqa: PLC0415

        seen = self._store.observations(experiment.name)
        return verdict_of(build_report(experiment.terms, seen, experiment.terms.features[0], experiment.truth_labels)).decided

    def _stop(self, experiment: Experiment, because: str) -> None:
        self._running = tuple(one for one in self._running if one.name != experiment.name)
        try:
            self._store.stop(experiment.name, because)
        except NoExperiment:
            return  # somebody else has stopped it
        log.info("experiment.stopped", extra={"experiment": experiment.name, "because": because})

    def _still_running(self, experiment: Experiment) -> bool:
        return any(one.name == experiment.name for one in self._running)

    def _note_done(self, name: str, digest: str) -> None:
        """So that a picture that comes again and again is not looked up each time."""
        with self._guard:
            if len(self._done) >= _DONE_MAX:
                self._done.clear()
            self._done.add((name, digest))

    def _note_shed(self, experiment: Experiment) -> None:
        with self._guard:
            self._shed[experiment.name] += 1

    @contextmanager
    def _alone(self, name: str, digest: str) -> Iterator[bool]:
        """Whether nobody else in this process asks about this picture right now: it must not be paid twice."""
        with self._guard:
            first = (name, digest) not in self._asking
            self._asking.add((name, digest))
        try:
            yield first
        finally:
            if first:
                with self._guard:
                    self._asking.discard((name, digest))


def _takes_part(experiment: Experiment, digest: str, options: Options, bill: Bill) -> bool:
    """Whether a request asks everything that is compared, and its unit is in the sample."""
    unit = _unit(experiment, digest, options, bill)
    asked = set(experiment.terms.features) <= set(options.features)
    return bool(unit) and asked and is_sampled(experiment.key, unit, experiment.terms.sample_rate)


def _may_be_split(experiment: Experiment, digest: str, options: Options, bill: Bill) -> bool:
    """A client that says itself whom to ask is not overruled."""
    return options.providers is None and options.strategy == "auto" and _takes_part(experiment, digest, options, bill)


def _unit(experiment: Experiment, digest: str, options: Options, bill: Bill) -> str:
    """What the request is assigned by; "" where it doesn't say."""
    return {"client": bill.client, "subject": options.subject or "", "image": digest}[experiment.terms.unit]


def _size(width: int, height: int) -> int:
    """Bytes of a picture's pixels."""
    return 3 * width * height


def _is_answer_of(arm: Arm, outcome: Outcome, experiment: Experiment) -> bool:
    """Whether a client's answer is just what this arm would have been asked for: then nobody pays for it again."""
    terms = experiment.terms
    if terms.mode == "shadow":
        return arm is terms.arms[0]
    alone = len(outcome.attempts) == 1 and not outcome.degraded and outcome.cache in {"miss", "off"}
    return alone and arm.providers == (outcome.provider,) and set(outcome.options.features) == set(terms.features)
