"""What it is worth to answer where one set of providers has answered: the votes that combine them, and who else is heard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cost.escalation.box_votes import FACTS, State
from cost.escalation.evidence import Floats
from cost.escalation.learning import FOLDS, ROWS_MIN, Learning
from cost.escalation.policy import COMBINED, StateModel, choose_labels, common_features, expected_reward, features_of
from cost.escalation.ridges import Ridges
from cost.escalation.votes import VoteModel, fit_votes, shapes_for
from cost.records import Kind

PULLS = (2.0, 8.0, 32.0)  # pseudo-records that hold a confusion table back; chosen on records not fitted on
BELIEF_PULL = 1e5  # what providers confuse alike looks like the truth where nobody tells it: then only what somebody named is answered
RIDGE = 30.0  # on what one label says, of which there may be few records
RIDGE_COMMON = 20.0  # on what the answer as a whole says: while records are few, that is all that is learned
SURE = 4.0  # standard errors by which a provider's own boxes must be better than combined ones: with less, few records choose by chance


@dataclass(frozen=True)
class Fitted:
    """One state's model, and what it says of the records when it has not seen them. All (n, ...) are NaN where not usable."""

    model: StateModel
    usable: NDArray[np.bool_]
    features: Floats
    leaf: Floats  # (n,) expected reward of answering here
    realised: Floats  # (n,) reward of doing so
    ridge: Floats  # (features,) how far each weight is held back


def choose_pull(learning: Learning, providers: Sequence[str]) -> float:
    """How far confusion tables are held back: what predicts best on records left out, where most is known."""
    seeing = [p for p in providers if not learning.records.opaque(p)]
    rows = np.flatnonzero(learning.usable(frozenset(seeing)))
    if learning.truth is None or not seeing or len(rows) < ROWS_MIN:
        return PULLS[-1]
    out = learning.fold[rows] == 0
    kept, held = rows[~out], rows[out]
    shapes = shapes_for(learning.truth.shape[1], len(seeing))
    evidence = {p: learning.evidence[p].take(kept) for p in seeing}
    unseen = {p: learning.evidence[p].take(held) for p in seeing}
    losses, model = {}, None
    for pull in PULLS:
        model = fit_votes(learning.records.kind, seeing, evidence, learning.truth[kept], pull, shapes=shapes, start=model)
        losses[pull] = _log_loss(learning.records.kind, learning.truth[held], model.probabilities(unseen, len(held)))
    return min(losses, key=lambda pull: losses[pull])


def _log_loss(kind: Kind, truth: Floats, probabilities: Floats) -> float:
    p = np.clip(probabilities, 1e-6, 1 - 1e-6)
    of_true = truth * np.log(p)
    loss = of_true if kind == "label" else np.where(probabilities > 0, of_true + (1 - truth) * np.log(1 - p), 0.0)
    return -1.0 * np.sum(loss).item()


def fit_state(learning: Learning, providers: Sequence[str], state: State, pull: float) -> Fitted:
    """One state's answers: the vote that combines them, and what each candidate answer is expected to be worth."""
    usable = learning.usable(state)
    rows = np.flatnonzero(usable)
    here = [p for p in providers if p in state]
    seeing = [p for p in here if not learning.records.opaque(p)]
    votes, probabilities = None, None
    if learning.truth is not None and seeing:
        votes, probabilities = _cross_fit(learning, seeing, rows, pull)
    features, ridge = _features(learning, state, here, rows, votes, probabilities)
    candidates = _candidates(learning, state, here, rows, votes, probabilities)
    everywhere = np.full((len(usable), features.shape[1]), np.nan)
    everywhere[rows] = features
    worth, leaf, realised = _worth(learning, candidates, everywhere, usable, ridge)
    return Fitted(StateModel(votes, tuple(candidates), worth, {}), usable, everywhere, leaf, realised, ridge)


def _features(
    learning: Learning, state: State, here: Sequence[str], rows: NDArray[np.intp], votes: VoteModel | None, probabilities: Floats | None
) -> tuple[Floats, Floats]:
    """(rows, features), and (features,) how far the weight of each is held back."""
    labels = len(learning.encoder.vocabulary)
    evidence = {p: learning.evidence[p].take(rows) for p in here}
    facts = learning.facts[state][rows] if state in learning.facts else None
    silent = 0.0 if votes is None else votes.silent
    features = features_of(learning.records.kind, here, evidence, len(rows), probabilities, silent, labels, facts)
    common = common_features(len(here), labels, combined=probabilities is not None, facts=0 if facts is None else FACTS)
    ridge = np.where(common, RIDGE_COMMON, RIDGE)
    ridge[0] = 1.0
    return features, ridge


def _candidates(
    learning: Learning, state: State, here: Sequence[str], rows: NDArray[np.intp], votes: VoteModel | None, probabilities: Floats | None
) -> dict[str, tuple[Floats, Floats]]:
    """What may be answered here -> (rows,) the reward of doing so, and (rows,) what it expects of itself, where it knows."""
    records, unknown = learning.records, np.zeros(len(rows))
    candidates: dict[str, tuple[Floats, Floats]] = {}
    if votes is not None and probabilities is not None:
        expected = expected_reward(records.kind, probabilities, votes.silent)
        candidates[COMBINED] = _combined_reward(learning, probabilities, votes.silent, rows), expected
    in_own_words = [p for p in here if votes is None or records.opaque(p)]
    if state in learning.together and np.isfinite(learning.together[state][rows]).any():
        fused = learning.together[state][rows]
        # Combined boxes contain each provider's own: to choose between them picture by picture, from few records, loses more than it gains.
        in_own_words = [p for p in in_own_words if better_alone(records.rewards[p][rows] - fused, learning.weight[rows])]
        if not in_own_words:
            candidates[COMBINED] = np.where(np.isnan(fused), np.nanmean(fused), fused), unknown
    return {**candidates, **{p: (records.rewards[p][rows], unknown) for p in in_own_words}}


def _worth(
    learning: Learning, candidates: Mapping[str, tuple[Floats, Floats]], features: Floats, usable: NDArray[np.bool_], ridge: Floats
) -> tuple[Floats, Floats, Floats]:
    """(features, candidates) weights; (n,) what the best candidate is expected to earn, and what it earned, as in `Fitted`."""
    rows, n = np.flatnonzero(usable), len(usable)
    leaf, realised = np.where(usable, 0.0, np.nan), np.full(n, np.nan)
    if not candidates:
        return np.zeros((features.shape[1], 0)), leaf, realised
    real = np.column_stack([reward for reward, _ in candidates.values()])
    own = np.column_stack([expected for _, expected in candidates.values()])
    beyond = np.full((n, len(candidates)), np.nan)
    beyond[rows] = real - own
    telling = learning.known if learning.belief is not None else np.ones(n, dtype=np.bool_)
    worth, beyond = Ridges(learning, features, usable, ridge).solve(beyond, usable & telling)
    expected = np.clip(own + beyond[rows], 0.0, 1.0)
    best = expected.argmax(axis=1)
    leaf[rows] = expected[np.arange(len(rows)), best]
    realised[rows] = np.where(telling[rows], real[np.arange(len(rows)), best], leaf[rows])
    return worth, leaf, realised


def _cross_fit(learning: Learning, seeing: Sequence[str], rows: NDArray[np.intp], pull: float) -> tuple[VoteModel, Floats]:
    """The vote fitted on all rows, and (rows, labels) what fits that left a record out say of it."""
    assert learning.truth is not None
    kind = learning.records.kind
    truth = learning.truth[rows]
    evidence = {p: learning.evidence[p].take(rows) for p in seeing}
    if learning.belief is not None:  # it was not fitted to be right about these, so there is nothing to leave out
        votes = learning.belief.votes(seeing)
        return votes, votes.probabilities(evidence, len(rows))
    shapes = shapes_for(truth.shape[1], len(seeing))
    whole = fit_votes(kind, seeing, evidence, truth, pull, shapes=shapes)
    left_out = np.zeros(truth.shape)
    for k in range(FOLDS):
        out = learning.fold[rows] == k
        kept, held = np.flatnonzero(~out), np.flatnonzero(out)
        model = fit_votes(kind, seeing, {p: e.take(kept) for p, e in evidence.items()}, truth[kept], pull, shapes=shapes, start=whole)
        left_out[held] = model.probabilities({p: e.take(held) for p, e in evidence.items()}, len(held))
    return whole, left_out


def better_alone(ahead: Floats, weight: Floats) -> bool:
    """Whether one provider's own answers are better than combined ones by more than chance explains.

    Args:
        ahead: (n,) by how much they are, where the combination has not seen the picture; NaN where unknown.
        weight: (n,) how much each picture counts.
    """
    compared = (ahead * weight)[np.isfinite(ahead)]
    return len(compared) >= ROWS_MIN and bool(compared.mean() > SURE * compared.std() / len(compared) ** 0.5)


def _combined_reward(learning: Learning, probabilities: Floats, silent: float, rows: NDArray[np.intp]) -> Floats:
    assert learning.truth is not None
    truth = learning.truth[rows]
    chosen = choose_labels(learning.records.kind, learning.encoder.vocabulary, probabilities, silent)
    hit: Floats = np.sum(truth * chosen, axis=1)
    if learning.records.kind == "label":
        return hit
    union = np.sum(np.maximum(truth, chosen), axis=1)
    return np.where(union > 0, hit / np.maximum(union, 1e-9), 1.0)
