"""One picture's way, top to bottom: look, choose, call, fall back, judge, keep, answer. The only place with side effects."""

import time
from collections.abc import Sequence

from cost.comparisons import ComparisonStore
from cost.ledger import BudgetExhausted, LedgerError
from cost.money import FREE, Money
from cost.paced_budgets import Multipliers
from gateway.cache.sharing import Refusals, Request, Sharing
from gateway.cache.values import Kept
from gateway.comparing import comparisons_of
from gateway.dry_run import refused_by_budgets
from gateway.escalate import Escalation
from gateway.exploring import Explorer
from gateway.failures import no_money, nobody_can, nobody_did, reason_of
from gateway.judge import Given, Judge
from gateway.line import Line
from gateway.metering import Bill
from gateway.monitoring.stages import stage
from gateway.monitoring.traffic import note_attempts
from gateway.outcome import KEPT, Attempt, Outcome
from gateway.pacing import Pacing
from gateway.policies import OnlyRules
from gateway.race import Leg, Race
from gateway.route import Route, Step, choose_route, without
from gateway.wire.options import Options
from providers.images import Image

_FALLBACK_MS_P95 = 250.0
"""What a fallback is thought to take where nothing is known of its speed."""

_SLACK_S = 0.05
"""Threads start late on a busy machine: a fallback's own time is not enough."""

_SETTLE_S = 0.25
"""How long an answer that is ready waits for the ledger to know its attempts."""

_USUAL = Multipliers(100.0, {})
"""A good answer is worth a cent."""

_WRITING_S = 0.02
"""What becoming JSON and leaving takes at the end of a deadline."""


class Dispatcher:
    """Answers pictures from the providers of one process. Shared by all its threads."""

    def __init__(
        self,
        lines: Sequence[Line],
        *,
        default_deadline_ms: int,
        simulated: bool = False,
        sharing: Sharing | None = None,
        judge: Judge | None = None,
        pacing: Pacing | None = None,
        comparisons: ComparisonStore | None = None,
        explorer: Explorer | None = None,
    ) -> None:
        """Use these providers, in this order of preference while nothing was learned.

        Args:
            lines: the providers.
            default_deadline_ms: where a request names none.
            simulated: every answer says so.
            sharing: None asks the providers for every request.
            judge: what was learned about them; None: nothing.
            pacing: what a good answer is worth now; None: always the same.
            comparisons: where is kept what several have answered; None: nowhere.
            explorer: shows some pictures to others too; None: nobody does.
        """
        self.lines = {line.name: line for line in lines}
        self.sharing = sharing
        self._meter = lines[0].meter  # one a process: every line has it
        self._judge = judge or Judge(OnlyRules(list(self.lines), [line.name for line in lines if line.paid]))
        self._pacing = pacing
        self._comparisons = comparisons
        self._explorer = explorer
        self._default_deadline_ms = default_deadline_ms
        self._simulated = simulated

    def look(self, digest: str, options: Options, bill: Bill) -> Kept | None:
        """The kept answer for a picture of exactly these bytes (SHA-256, in hex), whose pixels nobody needs to see then. It is counted."""
        kept = None if self.sharing is None else self.sharing.known(digest, options, bill)
        if kept is not None:
            self._meter.note_kept(bill, "hit", kept.calls, frozenset(options.features))
        return kept

    def detect(self, image: Image, options: Options, bill: Bill, deadline: float) -> Outcome:
        """Find what is in a picture, within the request's limits: from what is known, or by asking.

        Args:
            image: what was sent; decoded here.
            options: what is asked.
            bill: who pays, and how much at most.
            deadline: of everything together, on the monotonic clock, in seconds.

        Raises:
            GatewayError: no provider could be asked, none answered in time, or there is no money.
            providers.images.InvalidImage: the pixels can't be decoded. Nothing was sent to anybody.
        """
        if self.sharing is None:
            return self._ask(image, options, bill, deadline, Refusals())
        request = Request(
            image, options, bill, deadline, lambda asked, refusals: self._ask(image, asked, bill, deadline, refusals), time.monotonic()
        )
        outcome = self.sharing.answer(request)
        if outcome.cache in KEPT:
            self._meter.note_kept(bill, outcome.cache, outcome.calls, frozenset(options.features))
        return outcome

    def _ask(self, image: Image, options: Options, bill: Bill, deadline: float, refusals: Refusals) -> Outcome:
        """Ask the providers."""
        started = time.monotonic()
        image.pixels  # noqa: B018 -- decodes: a damaged picture must not cost a paid call
        multipliers = _USUAL if self._pacing is None else self._pacing.budgets.multipliers(bill.client, bill.tags)
        left_ms = (deadline - time.monotonic()) * 1000
        refused = {provider: f"image_refused: {why}" for provider, why in refusals.known.items()}
        with stage("choose"):
            route = choose_route(self.lines, image, options, bill.max_cost, left_ms, self._judge, multipliers, refused)
            if options.dry_run and (short := refused_by_budgets(self._meter.ledger, route.steps, bill)):
                route = choose_route(self.lines, image, options, bill.max_cost, left_ms, self._judge, multipliers, refused | short)
        race = Race(image, bill, deadline)
        answered = Escalation(self._judge, race, route, options, bill)
        try:
            if not options.dry_run:
                if self._pacing is not None:
                    self._pacing.budgets.note(bill.client, bill.tags)
                answered.legs.append(self._ask_in_turn(race, route, options))
                if options.strategy == "auto":
                    answered.run(lambda step: _start_if_allowed(race, step), multipliers)
        finally:
            attempts = race.close()
            note_attempts(attempts)
            refusals.told += race.refusals()
            refusals.race = race if race.paid_running else None
            _wait_until_settled(race, deadline)
        given = answered.given() if answered.legs else Given((), ())
        outcome = self._outcome(image, answered, given, attempts, started)
        _note_in_house(race, given, bill, outcome)
        self._learn(image, answered)
        return outcome

    def time_limit_s(self, options: Options) -> float:
        """How long a request may take in all, less what writing its answer takes: the client's clock runs until it has read it."""
        limit_s = (options.deadline_ms or self._default_deadline_ms) / 1000
        return limit_s - min(_WRITING_S, limit_s / 40)

    def close(self) -> None:
        """Let running calls end. Until then other processes know of them, and pay for none of them again."""
        for line in self.lines.values():
            line.close()
        if self.sharing is not None:
            self.sharing.close()

    def _ask_in_turn(self, race: Race, route: Route, options: Options) -> Leg:
        """The first answer of the route's steps, the next asked where the one before fails or is late."""
        if not route.steps:
            raise nobody_can(route)
        steps = list(route.steps)
        while steps and time.monotonic() < race.deadline:
            step = _may_start(steps, race, hedge=options.hedge)
            if step is not None:
                steps.remove(step)
                self._start(race, step)
            following = _may_start(steps, race, hedge=options.hedge)
            until = race.deadline if following is None else _patience_until(race, step, following, hedge=options.hedge)
            if answer := race.wait(until):
                return answer
        answer = race.wait(race.deadline)
        if answer is None:
            raise nobody_did(race)
        return answer

    def _outcome(self, image: Image, answered: Escalation, given: Given, attempts: tuple[Attempt, ...], started: float) -> Outcome:
        """What the request is told, as of now."""
        route = answered.route
        refused = {leg.name: reason_of(leg.error) for leg in answered.race.legs if isinstance(leg.error, LedgerError)}
        return Outcome(
            id=answered.bill.request_id,
            image=image,
            options=answered.options,
            detections=given.detections,
            provider=", ".join(given.providers) or None,
            model=answered.model_of(given),
            cost=sum((attempt.cost for attempt in attempts), FREE),
            degraded=_is_degraded(answered, given),
            simulated=self._simulated,
            latency_ms=(time.monotonic() - started) * 1000,
            attempts=attempts,
            considered=without(answered.considered(route.considered), refused),
            calls=answered.calls_of(given),
            expected=route.expected,
        )

    def _learn(self, image: Image, answered: Escalation) -> None:
        """Keep what several have answered: now, or once the explorer has asked others, too."""
        explored = self._explorer is not None and self._explorer.takes(image, answered.options, answered.bill, answered)
        if self._comparisons is not None and not explored:
            for comparison in comparisons_of(answered, image, answered.bill, "escalation"):
                self._comparisons.add(comparison)

    @staticmethod
    def _start(race: Race, step: Step) -> None:
        leg = _start_if_allowed(race, step)
        if leg is not None and isinstance(leg.error, BudgetExhausted) and leg.error.shortfalls[0].budget.when_exhausted == "reject":
            refusal = no_money(leg.error, {leg.name: reason_of(leg.error)})
            refusal.charged = bool(race.cost)
            raise refusal


def _start_if_allowed(race: Race, step: Step) -> Leg | None:
    """None where a circuit lets no call pass."""
    probe_s = race.deadline - time.monotonic()
    passed = [share for share in step if share.line.allow(share.features, probe_s)]
    if len(passed) < len(step):
        for share in passed:
            share.line.leave(share.features, time.monotonic())
        return None
    return race.start(step)


def _may_start(steps: list[Step], race: Race, *, hedge: bool) -> Step | None:
    """The next step. While a paid answer may still come, a second paid one is asked only if the request wants it: both are billed."""
    return next((step for step in steps if hedge or not race.paid_running or not any(share.line.paid for share in step)), None)


def _patience_until(race: Race, step: Step | None, following: Step, *, hedge: bool) -> float:
    """When to ask the next although this one may still answer.

    In time for the next to answer before the deadline; earlier, when this one is later than 95 % of its answers, where asking costs
    nothing more (the in-house model) or the request wants it so.
    """
    now = time.monotonic()
    fallback_ms = _usual_ms(following)
    fallback_s = (_FALLBACK_MS_P95 if fallback_ms is None else fallback_ms) / 1000 + _SLACK_S
    last_moment = race.deadline - min(fallback_s, (race.deadline - now) / 2)
    usual_ms = None if step is None else _usual_ms(step)
    if usual_ms is not None and (hedge or not any(share.line.paid for share in following)):
        return min(last_moment, now + usual_ms / 1000)
    return last_moment


def _usual_ms(step: Step) -> float | None:
    """How long 95 % of its answers took at most, as far as that is known."""
    known = [ms for share in step if (ms := share.line.latency_ms(share.features, 0.95)) is not None]
    return max(known, default=None)


def _wait_until_settled(race: Race, deadline: float) -> None:
    """So that a report read after the answer knows its attempts, where the ledger is as quick as ever. Nobody waits longer for it."""
    until = min(deadline, time.monotonic() + _SETTLE_S)
    for run in (run for leg in race.legs for run in leg.ended):
        run.settled.wait(max(until - time.monotonic(), 0.0))


def _is_degraded(answered: Escalation, given: Given) -> bool:
    """Whether the in-house model answered because money or time was out for a provider that comes before it, or was worth its price."""
    if not answered.legs or any(leg.paid and leg.name in given.providers for leg in answered.legs):
        return False
    first = answered.legs[0]
    if first.paid:
        return False
    route = answered.route
    before = route.steps[: route.steps.index(first.step)]
    no_ledger = any(one.reason.startswith("ledger_unavailable") for one in route.considered)
    return route.degraded or no_ledger or answered.refused or any(share.line.paid for step in before for share in step)


def _note_in_house(race: Race, given: Given, bill: Bill, outcome: Outcome) -> None:
    """In-house answers are usage: what they cost by the hour, and what the one that was given has saved."""
    saved = next((one.price for one in outcome.considered if one.price and one.decision != "skipped"), FREE) if not outcome.cost else FREE
    for leg in race.legs:
        for line, run in leg.runs:
            if not line.paid and run.answer:
                avoided: Money = saved if line.name in given.providers else FREE
                line.meter.note_in_house(bill, run.call, line.name, run.machine_us, avoided)
