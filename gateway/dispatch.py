"""One picture's way, top to bottom: choose, call, fall back, answer. The only place with side effects."""

import time
from collections.abc import Sequence

from cost.ledger import BudgetExhausted, LedgerError
from cost.money import FREE, Money
from gateway.failures import no_money, nobody_can, nobody_did, reason_of
from gateway.line import Line
from gateway.metering import Bill
from gateway.outcome import Outcome
from gateway.race import Leg, Race
from gateway.route import Route, choose_route
from gateway.wire.options import Options
from providers.contract import Feature
from providers.images import Image

_FALLBACK_MS_P95 = 250.0
"""What a fallback is thought to take where nothing is known of its speed."""

_SLACK_S = 0.05
"""Threads start late on a busy machine: a fallback's own time is not enough."""


class Dispatcher:
    """Answers pictures from the providers of one process. Shared by all its threads."""

    def __init__(self, lines: Sequence[Line], *, default_deadline_ms: int, simulated: bool = False) -> None:
        """Use these providers, in this order of preference."""
        self.lines = {line.name: line for line in lines}
        self._default_deadline_ms = default_deadline_ms
        self._simulated = simulated

    def detect(self, image: Image, options: Options, bill: Bill, deadline: float) -> Outcome:
        """Find what is in a picture, within the request's limits.

        Args:
            image: what was sent; decoded here.
            options: what is asked.
            bill: who pays, and how much at most.
            deadline: of everything together, on the monotonic clock, in seconds.

        Raises:
            GatewayError: no provider could be asked, none answered in time, or there is no money.
            providers.images.InvalidImage: the pixels can't be decoded. Nothing was sent to anybody.
        """
        started = time.monotonic()
        image.pixels  # noqa: B018 -- decodes: a damaged picture must not cost a paid call
        route = choose_route(self.lines, image, options, bill.max_cost)
        race = Race(image, frozenset(options.features), bill, deadline)
        answer = None if options.dry_run else self._ask_in_turn(race, route, options)
        refused = {leg.line.name: reason_of(leg.error) for leg in race.legs if isinstance(leg.error, LedgerError)}
        outcome = Outcome(
            id=bill.request_id,
            image=image,
            options=options,
            detections=answer.detections if answer else (),
            provider=answer.line.name if answer else None,
            model=answer.model if answer else None,
            cost=race.cost,
            degraded=answer is not None and _is_degraded(answer, route),
            simulated=self._simulated,
            latency_ms=(time.monotonic() - started) * 1000,
            attempts=race.attempts,
            considered=route.without(refused),
        )
        _note_in_house(race, answer, bill, outcome)
        return outcome

    def time_limit_s(self, options: Options) -> float:
        """How long a request may take in all."""
        return (options.deadline_ms or self._default_deadline_ms) / 1000

    def close(self) -> None:
        """Let running calls end."""
        for line in self.lines.values():
            line.close()

    def _ask_in_turn(self, race: Race, route: Route, options: Options) -> Leg:
        """The first answer of the route's providers, the next asked where the one before fails or is late."""
        if not route.lines:
            raise nobody_can(route)
        features = frozenset(options.features)
        for line, following in zip(route.lines, (*route.lines[1:], None), strict=True):
            if not line.allow(features, probe_s=race.deadline - time.monotonic()):
                continue
            leg = race.start(line)
            until = race.deadline if following is None else _patience_until(race, line, following, features, hedge=options.hedge)
            if answer := race.wait(until):
                return answer
            if isinstance(leg.error, BudgetExhausted) and leg.error.shortfalls[0].budget.when_exhausted == "reject":
                raise no_money(leg.error, {line.name: reason_of(leg.error)})
        answer = race.wait(race.deadline)
        if answer is None:
            raise nobody_did(race)
        return answer


def _patience_until(race: Race, line: Line, following: Line, features: frozenset[Feature], *, hedge: bool) -> float:
    """When to ask the next provider although this one may still answer.

    In time for the next to answer before the deadline; earlier, when this one is later than 95 % of its answers, where asking costs
    nothing more (the in-house model) or the request wants it so.
    """
    now = time.monotonic()
    left_s = race.deadline - now
    fallback_ms = following.latency_ms(features, 0.95)
    fallback_s = (_FALLBACK_MS_P95 if fallback_ms is None else fallback_ms) / 1000 + _SLACK_S
    last_moment = race.deadline - min(fallback_s, left_s / 2)
    usual_ms = line.latency_ms(features, 0.95)
    if usual_ms is not None and (hedge or not following.paid):
        return min(last_moment, now + usual_ms / 1000)
    return last_moment


def _is_degraded(answer: Leg, route: Route) -> bool:
    """Whether the in-house model answered because money or time was out for a provider that comes before it."""
    if answer.line.paid:
        return False
    before = route.lines[: route.lines.index(answer.line)]
    return any(line.paid for line in before) or any(one.reason.startswith("ledger_unavailable") for one in route.considered)


def _note_in_house(race: Race, answer: Leg | None, bill: Bill, outcome: Outcome) -> None:
    """In-house answers are usage: what they cost by the hour, and what the one that was given has saved."""
    saved = next((one.price for one in outcome.considered if one.price and one.provider != outcome.provider), FREE)
    for leg in race.legs:
        if not leg.line.paid and leg.answered:
            for run in leg.ended:
                avoided: Money = saved if leg is answer else FREE
                leg.line.meter.note_in_house(bill, run.call, leg.line.name, run.attempts[-1].latency_ms, avoided)
