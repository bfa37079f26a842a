"""Whether another provider's answer is worth its price: the decision, with what it needs to be made.

A picture's state is the set of providers that have answered it. In each state the policy knows how good the best answer so far is
expected to be, and, for each multiplier on money, how good it would be expected to become by asking on. It asks while

    expected gain * stake > price * multiplier        (the multiplier is quality a dollar: what a dollar must bring)

What is at stake is 1 on a mean picture, and more where more things are to be boxed: each of them counts alike, on whatever picture it is.

The program that replays records and the one that routes live traffic both call `Policy.judge`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cost.escalation.box_votes import STAKE, BoxVotes, State
from cost.escalation.evidence import Encoder, Evidence, Floats
from cost.escalation.votes import VoteModel
from cost.records import NOBODYS, Answer, Kind, Seen, Target

COMBINED = "combined"
STOP = -1


@dataclass(frozen=True)
class StateModel:
    """What is expected in one state.

    Attributes:
        votes: combines the answers, where the records allow to fit that.
        candidates: what may be answered here: `COMBINED`, or one provider's own answer.
        worth: (features, candidates) linear: each candidate's expected reward, beyond the combination's own estimate of itself.
        onward: provider -> (features, multipliers) linear: what the state after asking it is expected to be worth beyond this one's
            best candidate, later prices paid.
    """

    votes: VoteModel | None
    candidates: tuple[str, ...]
    worth: Floats
    onward: Mapping[str, Floats]


@dataclass(frozen=True)
class View:
    """What one state's model says of n pictures.

    Attributes:
        features: (n, features) what the linear models read.
        probabilities: (n, labels), or None where answers are not combined.
        rewards: (n, candidates) expected reward of answering with each candidate, in [0, 1].
        stake: (n,) how much the pictures are thought to count, 1 in the mean.
    """

    features: Floats
    probabilities: Floats | None
    rewards: Floats
    stake: Floats


@dataclass(frozen=True)
class Judgement:
    """The decision on one picture.

    Attributes:
        ask: the provider to ask next, or None: answer now.
        answer_by: whose answer is expected to be the best so far, or `COMBINED`; None when nobody has answered.
        reward: how good that answer is expected to be, in [0, 1].
        gains: provider -> expected gain of asking it now, in reward, what its answer may lead to included and later prices deducted.
        stake: how much the picture is thought to count, 1 in the mean.
    """

    ask: str | None
    answer_by: str | None
    reward: float
    gains: Mapping[str, float]
    stake: float = 1.0


@dataclass(frozen=True)
class Policy:
    """Fitted on records; immutable, shared by threads.

    Attributes:
        kind: a label or a set of tags is the answer.
        target: what its rewards mean: the truth, or agreement with a reference provider.
        providers: whom it knows.
        encoder: answers -> numbers.
        states: providers that have answered -> what is expected then. The empty set is always among them.
        multipliers: (g,) ascending, quality a dollar; the first is 0.
        spend, reward: (g,) expected dollars and reward a picture when a multiplier is held: for pacing and for `dry_run`.
        records: how many it was fitted on.
        alone: provider -> expected reward of its answer alone.
        boxes: combines boxes, where the records have them: then `COMBINED` is its answer.
    """

    kind: Kind
    target: Target
    providers: tuple[str, ...]
    encoder: Encoder
    states: Mapping[State, StateModel]
    multipliers: Floats
    spend: Floats
    reward: Floats
    records: int
    alone: Mapping[str, float] = field(default_factory=dict)
    boxes: BoxVotes | None = None

    def judge(
        self,
        answers: Mapping[str, Answer | None],
        prices_usd: Mapping[str, float],
        multiplier: float,
    ) -> Judgement:
        """Stop, or ask one of `prices_usd`'s providers: those that may still be asked, at what they cost now.

        Args:
            answers: what has been answered so far; None from a provider whose answer can't be looked at.
            prices_usd: provider -> price in dollars, of those allowed, affordable and in time. To compare with gains, not to book.
            multiplier: quality that a dollar must bring.
        """
        state = frozenset(answers) & frozenset(self.providers)
        if state not in self.states:
            return Judgement(None, next(iter(answers), None), 0.0, {})
        evidence = self.encoder.encode({p: [answers[p]] for p in self.providers if p in state})
        ask, view, gains = self.judge_many(state, evidence, 1, prices_usd, multiplier)
        options = [p for p in self.providers if p in gains]
        best = int(view.rewards[0].argmax()) if state else 0
        return Judgement(
            None if ask[0] == STOP else self.providers[ask[0]],
            self.states[state].candidates[best] if state else None,
            view.rewards[0, best].item() if state else 0.0,
            {p: gains[p][0].item() for p in options},
            view.stake[0].item(),
        )

    def judge_many(
        self, state: State, evidence: Evidence, n: int, prices_usd: Mapping[str, float], multiplier: float
    ) -> tuple[NDArray[np.intp], View, dict[str, Floats]]:
        """The same decision for n pictures in one state: (n,) index of the provider to ask or `STOP`, the view, the gains."""
        view = self.view(state, evidence, n)
        best = np.full(n, -np.inf if not state else 0.0)
        ask = np.full(n, STOP, dtype=np.intp)
        gains = {}
        for j, provider in enumerate(self.providers):
            onward = self.states[state].onward.get(provider)
            if onward is None or provider not in prices_usd:
                continue
            gains[provider] = view.features @ self._at(onward, multiplier)
            net = gains[provider] * view.stake - multiplier * prices_usd[provider]
            ask[net > best] = j
            best = np.maximum(best, net)
        return ask, view, gains

    def view(self, state: State, evidence: Evidence, n: int) -> View:
        """What this state's model says of n pictures."""
        model = self.states[state]
        probabilities = None if model.votes is None else model.votes.probabilities(evidence, n)
        silent = 0.0 if model.votes is None else model.votes.silent
        here = [p for p in self.providers if p in state]
        facts, stake = None, np.ones(n)
        if self.boxes is not None and state:
            facts = self.boxes.facts(state, {p: evidence[p].drawn for p in here}, n)
            stake = facts[:, STAKE]
        features = features_of(self.kind, here, evidence, n, probabilities, silent, len(self.encoder.vocabulary), facts)
        rewards = features @ model.worth
        if probabilities is not None and COMBINED in model.candidates:
            rewards[:, model.candidates.index(COMBINED)] += expected_reward(self.kind, probabilities, silent)
        return View(features, probabilities, np.clip(rewards, 0.0, 1.0), stake)

    def combine(self, answers: Mapping[str, Answer | None]) -> Answer:
        """The combined answer, each label with its calibrated probability; empty where this state can't combine."""
        state = frozenset(answers) & frozenset(self.providers)
        model = self.states.get(state)
        if model is None or model.votes is None:
            return ()
        evidence = self.encoder.encode({p: [answers[p]] for p in self.providers if p in state})
        probabilities = model.votes.probabilities(evidence, 1)
        chosen = choose_labels(self.kind, self.encoder.vocabulary, probabilities, model.votes.silent)[0]
        columns = np.flatnonzero(chosen).tolist()
        given = [answers[p] for p in self.providers if p in state]
        return tuple(Seen(label, probabilities[0, k].item()) for k in columns for label in self.encoder.labels_at(k, given))

    def multiplier_for(self, usd_per_picture: float) -> float:
        """The multiplier whose expected spend is this, between those tabulated; less money, greater multiplier."""
        # Spend falls as the multiplier grows: interpolate in its logarithm, from rich to poor.
        logs = np.log(np.maximum(self.multipliers, self.multipliers[1] / 2))
        return np.exp(np.interp(-usd_per_picture, -self.spend, logs)).item() if usd_per_picture < self.spend[0] else 0.0

    def reward_at(self, multiplier: float) -> float:
        """Expected reward of a picture where everybody may be asked and this multiplier is held, in [0, 1]."""
        return np.interp(multiplier, self.multipliers, self.reward).item()

    def _at(self, onward: Floats, multiplier: float) -> Floats:
        """Between two tabulated multipliers, on the straight line."""
        place = np.interp(multiplier, self.multipliers, np.arange(len(self.multipliers)))
        low = int(place)
        if low == place:
            return onward[:, low]
        return onward[:, low] + (place - low) * (onward[:, low + 1] - onward[:, low])


def features_of(
    kind: Kind,
    providers: Sequence[str],
    evidence: Evidence,
    n: int,
    probabilities: Floats | None,
    silent: float,
    labels: int,
    facts: Floats | None = None,
) -> Floats:
    """(n, features) what the linear models of a state read: a constant, how sure the combination is, who named what and how surely.

    `facts` are those of combined boxes, where there are boxes: then it is them that count, and not what each label says.
    """
    columns = [np.ones((n, 1))]
    if facts is not None:
        columns.append(facts)
    if probabilities is not None and providers:
        top = -np.sort(-probabilities, axis=1)[:, :3]
        top = np.pad(top, ((0, 0), (0, 3 - top.shape[1])))
        spread = -np.sum(probabilities * np.log(probabilities + 1e-9), axis=1)
        columns += [
            probabilities,
            top,
            top**2,
            np.column_stack([top[:, 0] * top[:, 1], spread, expected_reward(kind, probabilities, silent)]),
        ]
    for provider in providers:
        said = evidence[provider]
        if facts is None:
            named = np.zeros((n, labels))
            named[said.row, said.label] = 1.0
            ranked = np.zeros((n, labels))
            ranked[said.row, said.label] = said.shape[:, 1]
            columns += [named, ranked]
        surest = np.full(n, -1.0)
        np.maximum.at(surest, said.row, said.rank)
        columns.append(np.column_stack([surest, surest**2, np.log1p(said.named), said.named == 0]))
    return np.concatenate(columns, axis=1)


def common_features(providers: int, labels: int, *, combined: bool, facts: int) -> NDArray[np.bool_]:
    """(features,) which columns of `features_of` say something of the answer as a whole, not of one label."""
    said = [False] * (0 if facts else 2 * labels) + [True] * 4
    together = [False] * labels + [True] * 9 if combined and providers else []
    return np.array([True, *[True] * facts, *together, *said * providers], dtype=np.bool_)


def expected_reward(kind: Kind, probabilities: Floats, silent: float) -> Floats:
    """(n,) what the best combined answer is worth if the probabilities are right."""
    if kind == "label":
        top: Floats = probabilities.max(axis=1)
        return top
    best: Floats = _by_size(probabilities, silent)[0].max(axis=1)
    return best


def choose_labels(kind: Kind, vocabulary: Sequence[str], probabilities: Floats, silent: float) -> NDArray[np.bool_]:
    """(n, labels) the best combined answer: the likeliest label, or the set of the greatest expected share in the truth."""
    chosen = np.zeros(probabilities.shape, dtype=np.bool_)
    if kind == "label":
        sayable = np.array([label != NOBODYS for label in vocabulary])
        chosen[np.arange(len(chosen)), np.where(sayable, probabilities, -1.0).argmax(axis=1)] = True
        return chosen
    shares, order = _by_size(probabilities, silent)
    taken = np.arange(probabilities.shape[1]) <= shares.argmax(axis=1)[:, None]
    np.put_along_axis(chosen, order, taken, axis=1)
    return chosen & (probabilities > 0.0)


def _by_size(probabilities: Floats, silent: float) -> tuple[Floats, NDArray[np.intp]]:
    """(n, labels) expected Jaccard index of the k+1 likeliest labels: expected overlap over expected union; and the labels' order."""
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ranked = np.take_along_axis(probabilities, order, axis=1)
    hit = np.cumsum(ranked, axis=1)
    size = np.cumsum(ranked > 0.0, axis=1)
    missed = hit[:, -1:] - hit + silent
    return hit / np.maximum(size + missed, 1e-9), order
