"""One request's further questions: after an answer, others are asked while that is expected to be worth their prices."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from cost.ledger import LedgerError
from cost.money import Money
from cost.paced_budgets import Multipliers
from cost.router import Considered
from gateway.judge import Answers, Given, Judge, Ruling
from gateway.line import Line
from gateway.metering import Bill
from gateway.outcome import AnsweredCall
from gateway.race import Leg, Race
from gateway.route import Route, Step
from gateway.wire.options import Options
from providers.contract import Detection, Feature

_UNKNOWN_MS_P95 = 500.0
"""What a provider is thought to take of which nothing is known."""

_SLACK_S = 0.05
"""Threads start late on a busy machine; and the answer that is held in hand must still be written."""


@dataclass
class Escalation:
    """What became of the answers to one request.

    Attributes:
        legs: those that answered, in order.
        rulings: the latest of each round.
        refused: money ran out for an answer that would have been worth its price.
    """

    judge: Judge
    race: Race
    route: Route
    options: Options
    bill: Bill
    legs: list[Leg] = field(default_factory=list)
    rulings: list[Ruling] = field(default_factory=list)
    refused: bool = False

    def run(self, start: Callable[[Step], Leg | None], multipliers: Multipliers) -> None:
        """Ask on. An answer is in hand, so nothing that goes wrong here is told as an error."""
        for _ in self.route.steps:
            offers = self._offers()
            if not offers:
                return
            ruling = self.judge.rule(self.answers(), {p: price for p, (_, price) in offers.items()}, multipliers)
            self.rulings.append(ruling)
            if ruling.ask is None:
                return
            asked_before = self.legs[-1]
            leg = start(offers[ruling.ask][0])
            if leg is not None and isinstance(leg.error, LedgerError):
                self.refused = True
            asked_before.escalated = asked_before.escalated or (leg is not None and leg.running)
            while (answered := self.race.wait(self.race.deadline - _SLACK_S)) is not None:
                self.legs.append(answered)
                if answered is leg:
                    break
            if leg is not None and leg.running:
                return  # late: what is in hand is given

    def answers(self) -> Answers:
        """By feature and provider, what was found."""
        answers: dict[Feature, dict[str, tuple[Detection, ...]]] = {feature: {} for feature in self.options.features}
        for leg in self.legs:
            for share in leg.step:
                for feature in share.features & answers.keys():
                    found = (d for d in leg.detections if d.provider == share.line.name and d.feature == feature)
                    answers[feature][share.line.name] = tuple(found)
        return answers

    def given(self) -> Given:
        """What the client gets. Who was asked for by name, or by a rule that looks at no answer, is heard in its own words."""
        chosen_by_worth = self.options.strategy == "auto" and len(self.route.considered) > 1
        return self.judge.give(self.answers(), in_own_words=not chosen_by_worth)

    def model_of(self, given: Given) -> str | None:
        """What answered: one name, or several."""
        models = (leg.model for leg in self.legs if any(share.line.name in given.providers for share in leg.step))
        return ", ".join(dict.fromkeys(models)) or None

    def calls_of(self, given: Given) -> tuple[AnsweredCall, ...]:
        """The calls that the answer comes from."""
        return tuple(call for leg in self.legs for call in leg.calls if call.provider in given.providers)

    def considered(self, all_considered: tuple[Considered, ...]) -> tuple[Considered, ...]:
        """Why each was asked after an answer, or was not."""
        asked = {ruling.ask: ruling for ruling in self.rulings if ruling.ask is not None}
        last = self.rulings[-1] if self.rulings else None
        told = []
        for one in all_considered:
            if one.provider in asked and one.decision != "skipped":
                told.append(one._replace(decision="escalation", reason=asked[one.provider].reason(one.provider)))
            elif last is not None and one.provider in last.gains and one.decision in {"fallback", "escalation"}:
                told.append(one._replace(decision="skipped", reason=f"not_worth_it: {last.reason(one.provider)}"))
            else:
                told.append(one)
        return tuple(told)

    def _offers(self) -> dict[str, tuple[Step, Money]]:
        """Who may still be asked, at what price: not tried yet nor throttled, within the money and time left."""
        left_ms = (self.race.deadline - time.monotonic() - _SLACK_S) * 1000
        tried = {share.line.name for leg in self.race.legs for share in leg.step}
        prices = {one.provider: one.price for one in self.route.considered}
        offers = {}
        for step in self.route.steps:
            line, price = step[0].line, prices.get(step[0].line.name)
            if (
                len(step) > 1
                or line.name in tried
                or price is None
                or line.throttled(step[0].features)
                or not self._fits(line, price, left_ms)
            ):
                continue
            offers[line.name] = (step, price)
        return offers

    def _fits(self, line: Line, price: Money, left_ms: float) -> bool:
        usual_ms = line.latency_ms(frozenset(self.options.features), 0.95)
        if (_UNKNOWN_MS_P95 if usual_ms is None else usual_ms) > left_ms:
            return False
        return not line.paid or self.bill.max_cost is None or self.race.cost + price <= self.bill.max_cost
