"""JUDGE: is the answer good enough, or is another provider's answer worth its price? And whose answer is given in the end.

The decision is `cost.escalation`'s, the same that a backtest replays; here detections become what it reads, and what it says becomes
detections again.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cost.escalation.boxes import Drawn, Fused
from cost.escalation.policy import COMBINED, Judgement, Policy
from cost.escalation.rules import Rules
from cost.money import NANOS_PER_USD, Money
from cost.paced_budgets import Multipliers
from cost.records import Answer, Seen
from gateway.policies import OnlyRules
from providers.contract import BoundingBox, Detection, Feature

Answers = Mapping[Feature, Mapping[str, tuple[Detection, ...]]]
"""By feature, what each provider that was asked about it has found."""


GAIN_MIN = 0.01
"""What a client waits for: another answer that is expected to be better by less than this is not asked for, even for nothing."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """What is to be done now.

    Attributes:
        ask: the provider to ask next; None: answer now.
        gains: provider -> expected gain of asking it, mean over the features.
        worth_usd: provider -> dollars that its gain is worth on this picture: more where more is at stake.
    """

    ask: str | None
    gains: Mapping[str, float]
    worth_usd: Mapping[str, float]

    def reason(self, provider: str) -> str:
        """In the contract's words."""
        return f"expected_gain {self.gains[provider]:.2f} worth {self.worth_usd[provider]:.4f} USD"


@dataclass(frozen=True, slots=True)
class Prospect:
    """What learned policies expect before anything was asked, mean over the features.

    Attributes:
        quality: provider -> expected reward of its answer alone.
        worth: provider -> expected reward of asking it first, all that may follow included, later prices deducted.
        overall: expected reward of a picture where everybody may be asked.
        target: what a reward means: `truth` or `agreement`.
        versions: of the policies.
    """

    quality: Mapping[str, float]
    worth: Mapping[str, float]
    overall: float
    target: str
    versions: str


@dataclass(frozen=True, slots=True)
class Given:
    """The answer that a client gets: whose it is, and what was found."""

    providers: tuple[str, ...]
    detections: tuple[Detection, ...]


class Judge:
    """One a process, shared by its threads."""

    def __init__(self, policies: OnlyRules) -> None:
        self.policies = policies

    def before(self, features: Collection[Feature], prices: Mapping[str, Money], multipliers: Multipliers) -> Prospect | None:
        """What is expected of each provider as the first; None while a feature has no learned policy."""
        learned = {feature: self.policies.of(feature) for feature in features}
        policies = {feature: policy for feature, policy in learned.items() if not isinstance(policy, Rules)}
        if len(policies) < len(learned):
            return None
        usd = _usd(prices, multipliers)
        judged = [policy.judge({}, usd, multipliers.all).gains for policy in policies.values()]
        alone = [policy.alone for policy in policies.values()]
        targets = {policy.target for policy in policies.values()}
        return Prospect(
            _mean_where_known(alone),
            _mean_where_known(judged),
            sum(policy.reward_at(multipliers.all) for policy in policies.values()) / len(policies),
            "truth" if targets == {"truth"} else "agreement",
            ", ".join(f"{feature} {self.policies.version(feature)}" for feature in policies),
        )

    def rule(self, answers: Answers, prices: Mapping[str, Money], multipliers: Multipliers) -> Ruling:
        """Ask one of these providers, or answer now.

        Args:
            answers: at least one provider's for every feature.
            prices: of those that may still be asked, each for all features together.
            multipliers: quality that a dollar must bring.
        """
        multiplier, usd = multipliers.all, _usd(prices, multipliers)
        judged = [self._judge(feature, given, usd, multiplier) for feature, given in answers.items()]
        gains = {p: sum(j.gains.get(p, 0.0) for j in judged) / len(judged) for p in usd if any(p in j.gains for j in judged)}
        staked = {p: sum(j.gains.get(p, 0.0) * j.stake for j in judged) / len(judged) for p in gains}
        if len(judged) == 1:
            ask = judged[0].ask
        else:
            net = {p: gain - multiplier * usd[p] for p, gain in staked.items()}
            ask = max((p for p in net if net[p] > 0.0), key=lambda p: net[p], default=None)
        if ask is not None and gains[ask] < GAIN_MIN:
            ask = None
        needed = {p: multipliers.of(p) for p in gains}
        return Ruling(ask, gains, {p: gain / needed[p] if needed[p] > 0.0 else np.inf for p, gain in staked.items()})

    def give(self, answers: Answers, *, in_own_words: bool = False) -> Given:
        """The best of what was answered, feature by feature: one provider's own, or what calibrated votes make of one or several.

        Args:
            answers: at least one provider's for every feature.
            in_own_words: one provider's answer is given as it came, whatever its confidences are known to be worth.
        """
        providers: list[str] = []
        found: list[Detection] = []
        for feature, given in answers.items():
            by = self._judge(feature, given, {}, 0.0).answer_by
            combined = self._combined(feature, given) if by == COMBINED and not (in_own_words and len(given) == 1) else None
            if combined is not None:
                providers += given
                found += combined
            else:
                chosen = by if by is not None and by in given else self._strongest(feature, given)
                providers.append(chosen)
                found += given[chosen]
        return Given(tuple(dict.fromkeys(providers)), tuple(found))

    def _judge(
        self, feature: Feature, given: Mapping[str, tuple[Detection, ...]], usd: Mapping[str, float], multiplier: float
    ) -> Judgement:
        return self.policies.of(feature).judge({p: seen_in(found) for p, found in given.items()}, usd, multiplier)

    def _strongest(self, feature: Feature, given: Mapping[str, tuple[Detection, ...]]) -> str:
        """Where a combination can't be given: who is best alone, as far as anything is known; else who was asked last."""
        policy = self.policies.of(feature)
        alone = {} if isinstance(policy, Rules) else policy.alone
        order = list(given)
        return max(order, key=lambda p: (alone.get(p, 0.0), order.index(p)))

    def _combined(self, feature: Feature, given: Mapping[str, tuple[Detection, ...]]) -> list[Detection] | None:
        """None where these answers can't be combined."""
        policy = self.policies.of(feature)
        if isinstance(policy, Rules) or not frozenset(given) <= frozenset(policy.providers):
            return None
        boxed = any(d.box is not None for found in given.values() for d in found)
        if policy.boxes is not None:
            return _of_boxes(policy, given)
        return None if boxed else _of_labels(feature, policy, given)


def _usd(prices: Mapping[str, Money], multipliers: Multipliers) -> dict[str, float]:
    """Dollars to compare gains with. A policy knows one multiplier: another one for a provider is a price that much higher."""
    scale = multipliers.all or 1.0
    return {p: price.nanos / NANOS_PER_USD * multipliers.of(p) / scale for p, price in prices.items()}


def _mean_where_known(each: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Of the providers that are in all of them."""
    return {p: sum(one[p] for one in each) / len(each) for p in each[0] if all(p in one for one in each)}


def seen_in(found: Iterable[Detection]) -> Answer:
    """Detections as a policy reads them: label by label, how sure, how many, how large."""
    labels: dict[str, list[Detection]] = {}
    for one in found:
        labels.setdefault(one.label, []).append(one)
    return tuple(
        Seen(
            label,
            max(d.confidence for d in ones),
            len(ones),
            max((_area(d.box) for d in ones if d.box is not None), default=None),
            drawn_in(ones),
        )
        for label, ones in labels.items()
    )


def drawn_in(found: Iterable[Detection]) -> tuple[Drawn, ...]:
    """The boxes of detections."""
    return tuple(Drawn(d.label, (d.box.x_min, d.box.y_min, d.box.x_max, d.box.y_max), d.confidence) for d in found if d.box is not None)


def _area(box: BoundingBox) -> float:
    return (box.x_max - box.x_min) * (box.y_max - box.y_min)


def _of_boxes(policy: Policy, given: Mapping[str, tuple[Detection, ...]]) -> list[Detection] | None:
    """One detection a thing: the surest provider's own words, the mean box, the calibrated chance as confidence."""
    assert policy.boxes is not None
    if frozenset(given) not in policy.boxes.weights:
        return None
    own = {(p, drawn): d for p, found in given.items() for d in found if d.box is not None for drawn in drawn_in([d])}
    return [_fused(thing, own) for thing in policy.boxes.combine({p: drawn_in(found) for p, found in given.items()})]


def _fused(thing: Fused, own: Mapping[tuple[str, Drawn], Detection]) -> Detection:
    vote = max(thing.votes, key=lambda v: v.chance)
    detection = own[vote.provider, Drawn(vote.label, vote.corners, vote.confidence)]
    return replace(detection, confidence=thing.chance, box=BoundingBox.clamped(*thing.corners))


def _of_labels(feature: Feature, policy: Policy, given: Mapping[str, tuple[Detection, ...]]) -> list[Detection]:
    """One detection a label, in the words of the provider that is surest of it."""
    named: dict[str, Detection] = {}
    for found in given.values():
        for d in found:
            if d.label not in named or d.confidence > named[d.label].confidence:
                named[d.label] = d
    combined = policy.combine({p: seen_in(found) for p, found in given.items()})
    strongest = max(given, key=lambda p: policy.alone.get(p, 0.0))
    return [
        replace(named[s.label], confidence=s.confidence or 0.0)
        if s.label in named
        else Detection(feature, s.label, s.confidence or 0.0, None, strongest, s.label)
        for s in combined
    ]
