"""The records that a policy is learned from, as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from cost.escalation.belief import Belief
from cost.escalation.box_votes import STAKE, State
from cost.escalation.evidence import Encoder, Evidence, Floats
from cost.records import Records, labels_of, reward_of

FOLDS = 5
ROWS_MIN = 10  # a state seen on fewer records is never entered


@dataclass(frozen=True)
class Learning:
    """The records as arrays.

    Attributes:
        records: n pictures.
        encoder, evidence: their answers as numbers.
        truth: (n, labels) whether a label is true, or None where combined answers can't be scored.
        known: (n,) whether the truth is known.
        fold: (n,) the fold that a record is left out in.
        together: state -> (n,) reward of its boxes combined by votes that have not seen the record, NaN where unknown.
        facts: state -> (n, FACTS) what those votes say of the record.
        weight: (n,) how much each record counts, see `Records.stakes`.
        belief: whose votes combine the answers, where nobody tells the truth.
    """

    records: Records
    encoder: Encoder
    evidence: Evidence
    truth: Floats | None
    known: NDArray[np.bool_]
    fold: NDArray[np.intp]
    together: Mapping[State, Floats] = field(default_factory=dict)
    facts: Mapping[State, Floats] = field(default_factory=dict)
    weight: Floats = field(default_factory=lambda: np.ones(0))
    belief: Belief | None = None

    def usable(self, state: State) -> NDArray[np.bool_]:
        """(n,) where everybody in the state answered, and how good an answer would have been is known or believed."""
        usable = np.ones(len(self.fold), dtype=np.bool_) if self.truth is None or self.belief is not None else self.known.copy()
        for p in state:
            blind = self.truth is None or self.records.opaque(p)
            usable &= np.isfinite(self.records.rewards[p]) if blind else self.evidence[p].answered
        return usable

    def stake(self, state: State) -> Floats:
        """(n,) what is thought to be at stake in a picture, once this state's providers have answered."""
        return self.facts[state][:, STAKE] if state in self.facts else np.ones(len(self.fold))

    def mean(self, rewards: Floats) -> Floats:
        """Over the records, each as it counts, of (n, ...) rewards; those that are not known anywhere are left out."""
        known = np.flatnonzero(np.isfinite(rewards.reshape(len(rewards), -1).sum(axis=1)))
        mean: Floats = np.average(rewards[known], axis=0, weights=self.weight[known])
        return mean


def prepare(records: Records, believed: Floats | Belief | None = None) -> Learning:
    """The records as arrays."""
    encoder = Encoder.fit(records)
    known = np.array([t is not None for t in records.truth], dtype=np.bool_)
    truth, belief = None, None
    if isinstance(believed, Belief):
        truth, known, belief = believed.chances[: len(records)], believed.compared[: len(records)], believed
    elif believed is not None:
        truth, known = believed[: len(records)], np.ones(len(records), dtype=np.bool_)
    elif known.any() and not records.boxes and combinable(records):
        truth = np.zeros((len(records), len(encoder.vocabulary)))
        for i, labels in enumerate(records.truth):
            for label in labels or ():
                truth[i, encoder.column(label)] = 1.0
    fold = np.arange(len(records)) % FOLDS
    evidence = encoder.encode(records.answers)
    return Learning(records, encoder, evidence, truth, known, fold, weight=records.stakes(), belief=belief)


def states_of(learning: Learning, providers: Sequence[str]) -> list[State]:
    """The states that were seen often enough to know something of. With many providers, no more than three are asked about one picture."""
    most = len(providers) if len(providers) <= 5 else 3
    sets = (frozenset(s) for size in range(most + 1) for s in combinations(providers, size))
    return [s for s in sets if not s or learning.usable(s).sum() >= ROWS_MIN]


def combinable(records: Records) -> bool:
    """Whether the known rewards are those that the labels alone would earn: only then is a combined answer's reward known too."""
    for p in records.providers:
        pairs = zip(records.answers[p], records.truth, records.rewards[p], strict=True)
        known = [(a, t, r) for a, t, r in pairs if a is not None and t is not None and np.isfinite(r)]
        if sum(abs(reward_of(records.kind, labels_of(a), t) - r) > 1e-3 for a, t, r in known) > 0.02 * len(known):
            return False
    return True
