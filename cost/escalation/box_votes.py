"""The calibrated vote on boxes: how likely a thing is there, given who drew a box around it, how surely, and who drew none.

A provider's confidence says nothing by itself (0.4 of one may be right more often than 0.8 of another), and a second provider's silence
says as much as its voice. One small logistic regression for each set of providers that have answered knows both; and that a box which
lies over a surer one is seldom another thing, but the same drawn badly or by another name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cost.escalation.boxes import SHOWN_FROM, Drawn, Fused, Vote, f1, fuse, matched, stake
from cost.escalation.evidence import Floats
from cost.escalation.odds import sigmoid

State = frozenset[str]
Boxes = Sequence[Drawn]

FOLDS = 5
STEPS = 12
PULL = np.array([1.0, 1.0, 0.3])  # pseudo-observations on: it drew, its confidence, both against its silence
PULL_COVERED = 1.0  # the same on what a surer box in its place says
CHANCE_MIN = 0.04  # a box that is right more seldom than this is no vote: a detector tells a hundred of them
FACTS = 5
STAKE = FACTS - 1  # the last of them
MIN_BOXES = 20  # fewer than this teach nothing


@dataclass(frozen=True, slots=True)
class Count:
    """How many things there are where one set of providers has answered.

    Attributes:
        at_least: true things on a picture, whatever is drawn.
        per_chance: so many more for each thing that the chances add up to.
        none: probability that nothing is there where nothing was drawn.
    """

    at_least: float
    per_chance: float
    none: float


@dataclass(frozen=True)
class BoxVotes:
    """Weights for each set of providers.

    Attributes:
        weights: state -> (2 + 2 * providers,): a bias, then for each provider in alphabetical order: it drew, how surely; last, how far
            a surer box covers it. The bias is moved so that a half is where showing a box begins to pay: where half of all things are
            missed, one that is there with a chance of 0.3 is better shown than left out.
        counts: state -> how many things there are.
        usual: things on a mean picture.
    """

    weights: Mapping[State, Floats]
    counts: Mapping[State, Count] = field(default_factory=dict)
    usual: float = 0.0

    def combine(self, answers: Mapping[str, Boxes]) -> tuple[Fused, ...]:
        """One box a thing with its calibrated chance, surest first; nothing where this set of providers is not known."""
        state = frozenset(answers)
        if state not in self.weights:
            return ()
        things = self.things(answers)
        chances = sigmoid(_design(things, sorted(state)) @ self.weights[state])
        told = [Fused(t.label, chance, t.corners, t.votes) for t, chance in zip(things, chances.tolist(), strict=True)]
        return tuple(sorted(told, key=lambda t: -t.chance))

    def things(self, answers: Mapping[str, Boxes]) -> tuple[Fused, ...]:
        """Boxes of one thing brought together, each weighed by what its provider's are worth alone; till that is known, by its word."""
        votes = []
        for provider, boxes in answers.items():
            alone = self.weights.get(frozenset([provider]))
            for drawn in boxes:
                chance = _sigmoid(
                    _surety(drawn.confidence) if alone is None else alone[0] + alone[1] + alone[2] * _surety(drawn.confidence)
                )
                if chance >= CHANCE_MIN:
                    votes.append(Vote(provider, drawn.label, chance, drawn.corners, drawn.confidence))
        return fuse(votes)

    def facts(self, state: State, drawn: Mapping[str, Sequence[Boxes]], n: int) -> Floats:
        """(n, FACTS) what the combined boxes say of n pictures.

        The F1 they expect of themselves, and bent; how many; how many doubtful; what is at stake, 1 where nothing is known.
        """
        facts = np.zeros((n, FACTS))
        if state not in self.weights:
            facts[:, STAKE] = 1.0
            return facts
        count = self.counts[state]
        for i in range(n):
            chances = [t.chance for t in self.combine({p: drawn[p][i] for p in state})]
            sure = sum(c for c in chances if c >= SHOWN_FROM)
            many = sum(c >= SHOWN_FROM for c in chances)
            doubtful = sum(c for c in chances if c < SHOWN_FROM)
            there = count.at_least + count.per_chance * (sure + doubtful)
            own = min(2.0 * sure / (many + there), 1.0) if chances else count.none
            facts[i] = own, own * own, np.log1p(many), np.log1p(doubtful), stake(there, self.usual)
        return facts


def fit_boxes(answers: Mapping[str, Sequence[Boxes | None]], truth: Sequence[Boxes | None], states: Sequence[State]) -> BoxVotes:
    """Learn from pictures whose true boxes are known.

    Args:
        answers: provider -> n pictures' boxes; None where it was not asked.
        truth: n pictures' true boxes; None where nobody knows.
        states: sets of providers to learn about.
    """
    known = [len(true) for true in truth if true is not None]
    votes = BoxVotes({}, {}, np.mean(known).item() if known else 0.0)
    for state in sorted((s for s in states if s), key=len):
        designs: list[Floats] = []
        right: list[bool] = []
        picture: list[int] = []
        true_boxes: list[int] = []
        for i, true in enumerate(truth):
            if true is None or any(answers[p][i] is None for p in state):
                continue
            here = votes.things({p: answers[p][i] or () for p in sorted(state)})
            hits = matched([Drawn(t.label, t.corners) for t in here], true)
            designs.append(_design(here, sorted(state)))
            right += hits
            picture += [len(true_boxes)] * len(here)
            true_boxes.append(len(true))
        if len(right) >= MIN_BOXES:
            design = np.concatenate(designs)
            weights = _logistic(design, np.array(right, dtype=np.float64))
            weights[0] += _shift(design @ weights, np.array(true_boxes))
            count = _count(design @ weights, np.array(picture), np.array(true_boxes))
            votes = BoxVotes({**votes.weights, state: weights}, {**votes.counts, state: count}, votes.usual)
    return votes


def _shift(odds: Floats, true_boxes: NDArray[np.intp]) -> float:
    """How far log-odds are moved, so that what is then above a half earns the greatest F1 over all boxes.

    It pays to show a box whose chance is over half of that F1. Source: https://arxiv.org/abs/1402.1892
    """
    ranked = np.sort(sigmoid(odds))[::-1]
    best = np.max(2.0 * np.cumsum(ranked) / (np.arange(1, len(ranked) + 1) + true_boxes.sum())).item()
    half = min(max(best / 2.0, 0.01), 0.5)
    return math.log((1.0 - half) / half)


def _count(odds: Floats, picture: NDArray[np.intp], true_boxes: NDArray[np.intp]) -> Count:
    """What these pictures tell, by least squares. Of empty answers there are few: two more are thought of, one of them right."""
    drawn = np.bincount(picture, weights=sigmoid(odds), minlength=len(true_boxes))
    usual, mean = true_boxes.mean().item(), drawn.mean().item()
    slope = np.mean((true_boxes - usual) * (drawn - mean)).item() / max(drawn.var().item(), 1e-9)
    per_chance = min(max(slope, 0.0), usual / mean)
    undrawn = drawn == 0.0
    nothing = np.sum(undrawn & (true_boxes == 0)).item()
    return Count(usual - per_chance * mean, per_chance, (1 + nothing) / (2 + np.sum(undrawn).item()))


def fused_rewards(
    answers: Mapping[str, Sequence[Boxes | None]], truth: Sequence[Boxes | None], states: Sequence[State]
) -> tuple[BoxVotes, dict[State, Floats], dict[State, Floats]]:
    """The votes fitted on all pictures; and for each state what votes that have not seen a picture say of it.

    Returns: the votes; state -> (n,) rewards, NaN where unknown; state -> (n, FACTS) facts.
    """
    n = len(truth)
    rewards = {s: np.full(n, np.nan) for s in states if s}
    facts = {s: np.zeros((n, FACTS)) for s in states if s}
    for k in range(FOLDS):
        held = np.arange(n) % FOLDS == k
        kept = [None if out else t for t, out in zip(truth, held, strict=True)]
        votes = fit_boxes(answers, kept, states)
        for state, earned in rewards.items():
            rows = np.flatnonzero(held)
            facts[state][rows] = votes.facts(state, {p: [answers[p][i] or () for i in rows.tolist()] for p in state}, len(rows))
            if state not in votes.weights:
                continue
            for i in np.flatnonzero(held).tolist():
                true, given = truth[i], {p: answers[p][i] for p in state}
                if true is not None and all(boxes is not None for boxes in given.values()):
                    earned[i] = f1(shown(votes.combine({p: boxes or () for p, boxes in given.items()})), true)
    return fit_boxes(answers, truth, states), rewards, facts


def shown(fused: Sequence[Fused]) -> list[Drawn]:
    """What a client sees of a combined answer."""
    return [Drawn(t.label, t.corners, t.chance) for t in fused if t.chance >= SHOWN_FROM]


def _sigmoid(odds: float) -> float:
    return 1.0 / (1.0 + math.exp(-odds))


def _surety(confidence: float | None) -> float:
    """Log-odds, within bounds; 0 for a confidence that isn't told."""
    if confidence is None:
        return 0.0
    held = min(max(confidence, 0.02), 0.98)
    return math.log(held / (1.0 - held))


def _design(things: Sequence[Fused], providers: Sequence[str]) -> Floats:
    """(things, 2 + 2 * providers) of one picture: a constant; whether each drew a box around it, and how surely; how far it is covered."""
    x = np.zeros((len(things), 2 + 2 * len(providers)))
    x[:, 0] = 1.0
    place = {p: 1 + 2 * k for k, p in enumerate(providers)}
    for row, thing in enumerate(things):
        for vote in thing.votes:
            x[row, place[vote.provider]] = 1.0
            x[row, place[vote.provider] + 1] = _surety(vote.confidence)
    x[:, -1] = _covered(things)
    return x


def _covered(things: Sequence[Fused]) -> Floats:
    """(things,) each one's greatest overlap with a surer one, of whatever label; things surest first."""
    corners = np.array([t.corners for t in things]).reshape(-1, 1, 4)
    low, high = corners[..., :2], corners[..., 2:]
    area = np.prod(high - low, axis=2)
    both = np.prod(np.maximum(np.minimum(high, high.swapaxes(0, 1)) - np.maximum(low, low.swapaxes(0, 1)), 0.0), axis=2)
    overlaps = both / np.maximum(area + area.T - both, 1e-9)
    covered: Floats = np.tril(overlaps, -1).max(axis=1, initial=0.0)
    return covered


def _logistic(x: Floats, right: Floats) -> Floats:
    """Newton's method on the penalised likelihood."""
    pull = np.concatenate([PULL[:1], np.tile(PULL[1:], (x.shape[1] - 2) // 2), [PULL_COVERED]])
    weights = np.zeros(x.shape[1])
    for _ in range(STEPS):
        p = sigmoid(x @ weights)
        curvature = (x * (p * (1 - p) + 1e-6)[:, None]).T @ x + np.diag(pull)
        weights = weights - np.linalg.solve(curvature, x.T @ (p - right) + pull * weights)
    return weights
