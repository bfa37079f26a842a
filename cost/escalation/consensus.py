"""What is probably true when nobody tells: learned from how providers agree, each weighed by how far it has earned it.

Agreement with one strong provider is not accuracy, so no provider is the reference. The truth of every picture is a hidden variable; how
often a provider is right, by its confidence's rank and by label, is estimated together with it (expectation maximisation). A policy is
then fitted on what is believed, as on any truth.

Source: https://doi.org/10.2307/2346806 (Dawid and Skene, observers' error rates without a truth)
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import special

from cost.escalation.evidence import Encoder, Floats, Said
from cost.records import Records

ROUNDS = 12
JUDGES = 3
EARLY_RIGHT = 0.65  # how often anybody is taken to be right before anything was seen
RIDGE = np.array([0.5, 1.0, 3.0, 3.0])  # on the constant, the rank and its bends
LABEL_RIDGE = 8.0  # on what is particular to one label


def believe(seen: Records) -> Floats:
    """(n, labels) how likely each label is true, in the order of these records' own vocabulary; of tags, 0 for what nobody named.

    Args:
        seen: pictures with the answers that were paid for, None where a provider was not asked. `truth` and `rewards` are not looked at.
    """
    encoder = Encoder.fit(seen.without_truth())
    return probabilities(seen, encoder.encode(seen.answers), len(encoder.vocabulary))


def rightness(seen: Records) -> dict[str, float]:
    """How often each provider's answer is believed to be right."""
    believed, encoder = believe(seen), Encoder.fit(seen.without_truth())
    right: dict[str, float] = {}
    for p in seen.providers:
        chances = [believed[i, encoder.column(one.label)] for i, answer in enumerate(seen.answers[p]) for one in answer or ()]
        right[p] = np.mean(chances).item() if chances else 0.0
    return right


def probabilities(seen: Records, evidence: Mapping[str, Said], labels: int) -> Floats:
    """(n, labels) how likely each label is true; of tags, 0 for what nobody named."""
    n = len(seen)
    right = {p: np.full(len(evidence[p].row), special.logit(EARLY_RIGHT)) for p in seen.providers}
    weights = {p: np.zeros(len(RIDGE) + labels) for p in seen.providers}
    chance = np.zeros((n, labels))
    # Two that agree may both be wrong; who is right how often shows where three answered.
    views = np.sum([evidence[p].answered for p in seen.providers], axis=0)
    judged, compared = views >= min(JUDGES, views.max()), views >= min(2, views.max())
    for round_ in range(2 * ROUNDS):
        late = round_ >= ROUNDS
        chance = _chance_one(evidence, right, n, labels) if seen.kind == "label" else _chance_tags(evidence, right, chance, round_, n)
        for p in seen.providers:
            right[p], weights[p] = _rightness(evidence[p], chance, weights[p], compared if late else judged, len(RIDGE) if late else 0)
    return chance


def _chance_one(evidence: Mapping[str, Said], right: Mapping[str, Floats], n: int, labels: int) -> Floats:
    """One label is true: a provider that is right with probability a spreads the rest evenly."""
    scores = np.zeros((n, labels))
    for p, said in evidence.items():
        np.add.at(scores, (said.row, said.label), right[p] + np.log(max(labels - 1, 1)))
    chance: Floats = special.softmax(scores, axis=1)
    return chance


def _chance_tags(evidence: Mapping[str, Said], right: Mapping[str, Floats], before: Floats, round_: int, n: int) -> Floats:
    """Every label that somebody named is true or not; not being named by another who was asked speaks against it."""
    labels = before.shape[1]
    named = np.zeros((n, labels), dtype=np.bool_)
    for said in evidence.values():
        named[said.row, said.label] = True
    chance = before if round_ else np.where(named, 0.5, 0.0)
    base = special.logit(np.clip(chance[named].mean(), 0.05, 0.95)) if named.any() else 0.0
    scores = np.full((n, labels), base)
    for p, said in evidence.items():
        mine = np.zeros((n, labels), dtype=np.bool_)
        mine[said.row, said.label] = True
        open_to = named & said.answered[:, None]
        recall = (chance[mine].sum() + 2.0) / (chance[open_to].sum() + 4.0)
        alarm = ((1 - chance[mine]).sum() + 1.0) / ((1 - chance[open_to]).sum() + 4.0)
        scores += np.where(open_to & ~mine, np.log((1 - recall) / (1 - alarm)), 0.0)
        np.add.at(scores, (said.row, said.label), right[p] - base)
    return np.where(named, special.expit(scores), 0.0)


def _rightness(said: Said, chance: Floats, weights: Floats, judged: NDArray[np.bool_], held: int) -> tuple[Floats, Floats]:
    """Log-odds that what a provider names is true, by rank and label: two Newton steps of a logistic regression from where it was."""
    labels = chance.shape[1]
    x = np.zeros((len(said.row), len(RIDGE) + labels))
    x[:, : len(RIDGE)] = said.shape[:, : len(RIDGE)]
    x[np.arange(len(x)), len(RIDGE) + said.label] = 1.0
    pull = np.concatenate([RIDGE, np.full(labels, LABEL_RIDGE)])
    early = special.logit(EARLY_RIGHT)
    kept = judged[said.row]
    known, true = x[kept], chance[said.row, said.label][kept]
    for _ in range(2):
        p = special.expit(known @ weights + early)
        slope = known.T @ (p - true) + pull * weights
        curvature = (known * (p * (1 - p))[:, None]).T @ known + np.diag(pull)
        step = np.linalg.solve(curvature[held:, held:], slope[held:])
        weights = np.concatenate([weights[:held], weights[held:] - step])
    return np.clip(x @ weights + early, -4.0, 4.0), weights
