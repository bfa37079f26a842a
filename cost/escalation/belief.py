"""Which one label is true when nobody tells, and only some were asked: so few assumptions that a handful of pictures can't mislead them.

A provider knows the label, or it guesses: as often as it says a label anyway. So a label that it says all the time counts for little where
others differ, and a rare one for much; that corrects what plain agreement gets wrong. How often a provider knows is not estimated (from few
pictures it can't be, and providers that err alike bear each other out) but taken to be the same for all, more where it is surer; only the
anchor, who was chosen by a look at several, is taken to be right with greater odds.

What is believed is a vote with known weights (`votes.VoteModel`): the policy combines answers by the same vote that its target was made of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from cost.escalation.evidence import RANK_OF_ALL, VOTE_WIDTH, Encoder, Evidence, Floats
from cost.escalation.votes import VoteModel
from cost.records import Records

KNOWS = special.logit(0.7).item()  # log-odds that a provider of middling sureness knows
SURER = 1.5  # and how much they grow from the middle to its surest answer
ANCHOR = np.log(2.0).item()  # the anchor's odds are twice as good
ROUNDS = 15
SMOOTH = 2.0  # pictures added to each label, so that a rare one is not given up


@dataclass(frozen=True)
class Belief:
    """About the pictures it was made of, and any that come after.

    Attributes:
        chances: (n, labels) how likely each label is true, in the order of the records' own vocabulary.
        compared: (n,) whether two providers at least answered: what is believed of the others is hardly more than one said.
        common: (labels,) log share of pictures that bear the label.
        weights: provider -> (labels,) log-odds that a label gains by being named by it.
    """

    chances: Floats
    compared: NDArray[np.bool_]
    common: Floats
    weights: Mapping[str, Floats]

    def votes(self, providers: Sequence[str]) -> VoteModel:
        """The vote of these providers. What nobody named is never answered: what providers confuse alike would look like the truth."""
        return _votes(self.common, {p: self.weights[p] for p in providers}, named_only=True)


def believe_one(seen: Records, anchor: str | None = None) -> Belief:
    """What to believe of pictures with one label each, by the answers that were paid for; `truth` and `rewards` are not looked at."""
    encoder = Encoder.fit(seen.without_truth())
    evidence, labels, n = encoder.encode(seen.answers), len(encoder.vocabulary), len(seen)
    compared = np.sum([evidence[p].answered for p in seen.providers], axis=0) >= 2
    stands_for = _stands_for(evidence, compared, labels)
    weights = {}
    for p in seen.providers:
        said = evidence[p]
        often = np.bincount(said.label, stands_for[said.row], labels) + 1.0
        # Knows, or happens to say so: the odds are 1 + knows / (guesses * how often it says so).
        weights[p] = np.logaddexp(0.0, KNOWS - np.log(often / often.sum()))
    common, chances = np.full(labels, -np.log(max(labels, 1))), np.zeros((n, labels))
    spoken_for = _votes(np.zeros(labels), weights, named_only=False).scores(evidence, n)
    for _ in range(ROUNDS):
        chances = special.softmax(common + spoken_for, axis=1)
        share = stands_for @ chances + SMOOTH
        common = np.log(share / share.sum())
    if anchor is not None:
        weights[anchor] = weights[anchor] + ANCHOR
        chances = special.softmax(common + _votes(np.zeros(labels), weights, named_only=False).scores(evidence, n), axis=1)
    return Belief(chances, compared, common, weights)


def _votes(common: Floats, weights: Mapping[str, Floats], *, named_only: bool) -> VoteModel:
    table = [common[None, :]]
    for weight in weights.values():
        table += [np.zeros((2, len(common))), np.diag(weight)]
    votes = np.zeros((len(weights), VOTE_WIDTH))
    votes[:, RANK_OF_ALL] = SURER
    return VoteModel("label", tuple(weights), 1, np.concatenate(table), votes, named_only=named_only)


def _stands_for(evidence: Evidence, compared: NDArray[np.bool_], labels: int) -> Floats:
    """(n,) how many pictures each compared one stands for: who was asked about it was chosen, by what the usual first one said."""
    first = max(evidence.values(), key=lambda said: said.answered.sum())
    if not compared.any():
        return np.ones(len(compared))
    stands_for = compared.astype(np.float64)
    together = compared[first.row]
    ratio = np.bincount(first.label, minlength=labels) / np.maximum(np.bincount(first.label[together], minlength=labels), 1)
    stands_for[first.row[together]] = ratio[first.label[together]]
    return stands_for
