"""What is probably true when nobody tells: learned from how providers agree, each weighed by how far it has earned it.

Agreement with one strong provider is not accuracy, so no provider is the reference. The truth of every picture is a hidden variable; how
often a provider is right, by its confidence's rank and by label, is estimated together with it (expectation maximisation). From that,
records are completed: a truth drawn for each picture, and for whoever was not asked an answer borrowed from a picture like it. What comes
out are ordinary records, and a policy is fitted on them as on any.

Source: https://doi.org/10.2307/2346806 (Dawid and Skene, observers' error rates without a truth)
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import special

from cost.escalation.evidence import Encoder, Floats, Said
from cost.records import Answer, Records, Seen, labels_of, reward_of

ROUNDS = 12
EARLY_RIGHT = 0.65  # how often anybody is taken to be right before anything was seen
RIDGE = np.array([0.5, 1.0, 3.0, 3.0])  # on the constant, the rank and its bends
LABEL_RIDGE = 30.0  # on what is particular to one label
ROWS_WANTED = 1_500  # few records are completed several times over: several draws tell how unsure the truth is


def complete(seen: Records, rng: np.random.Generator) -> Records:
    """Records with a drawn truth and every answer there, real or borrowed, to fit a policy on.

    Args:
        seen: pictures with the answers that were paid for, None where a provider was not asked; `truth` and `rewards` are not looked at.
        rng: for the draws.
    """
    encoder = Encoder.fit(Records(seen.kind, seen.providers, seen.answers, [None] * len(seen), {}))
    evidence = encoder.encode(seen.answers)
    chance = probabilities(seen, evidence, len(encoder.vocabulary))
    copies = max(1, min(10, ROWS_WANTED // max(len(seen), 1)))
    truth: list[frozenset[str] | None] = []
    answers: dict[str, list[Answer | None]] = {p: [] for p in seen.providers}
    for _ in range(copies):
        drawn = _draw(seen, chance, encoder, rng)
        truth += drawn
        for p in seen.providers:
            answers[p] += _borrow(p, seen, drawn, rng)
    rewards = {
        p: np.array([np.nan if a is None else reward_of(seen.kind, labels_of(a), t) for a, t in zip(answers[p], truth, strict=True)])
        for p in answers
    }
    return Records(seen.kind, seen.providers, answers, truth, rewards, "agreement")


def probabilities(seen: Records, evidence: Mapping[str, Said], labels: int) -> Floats:
    """(n, labels) how likely each label is true; of tags, 0 for what nobody named."""
    n = len(seen)
    right = {p: np.full(len(evidence[p].row), special.logit(EARLY_RIGHT)) for p in seen.providers}
    weights = {p: np.zeros(len(RIDGE) + labels) for p in seen.providers}
    chance = np.zeros((n, labels))
    for round_ in range(ROUNDS):
        chance = _chance_one(evidence, right, n, labels) if seen.kind == "label" else _chance_tags(evidence, right, chance, round_, n)
        for p in seen.providers:
            right[p], weights[p] = _rightness(evidence[p], chance, weights[p])
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


def _rightness(said: Said, chance: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Log-odds that what a provider names is true, by rank and label: two Newton steps of a logistic regression from where it was."""
    labels = chance.shape[1]
    x = np.zeros((len(said.row), len(RIDGE) + labels))
    x[:, : len(RIDGE)] = said.shape[:, : len(RIDGE)]
    x[np.arange(len(x)), len(RIDGE) + said.label] = 1.0
    pull = np.concatenate([RIDGE, np.full(labels, LABEL_RIDGE)])
    early = special.logit(EARLY_RIGHT)
    true = chance[said.row, said.label]
    for _ in range(2):
        p = special.expit(x @ weights + early)
        slope = x.T @ (p - true) + pull * weights
        weights = weights - np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + np.diag(pull), slope)
    return np.clip(x @ weights + early, -4.0, 4.0), weights


def _draw(seen: Records, chance: Floats, encoder: Encoder, rng: np.random.Generator) -> list[frozenset[str] | None]:
    if seen.kind == "label":
        picked = (rng.random((len(chance), 1)) > np.cumsum(chance, axis=1)).sum(axis=1).clip(max=chance.shape[1] - 1)
        return [frozenset([encoder.vocabulary[k]]) for k in picked]
    return [frozenset(encoder.vocabulary[k] for k in np.flatnonzero(row)) for row in rng.random(chance.shape) < chance]


def _borrow(provider: str, seen: Records, truth: list[frozenset[str] | None], rng: np.random.Generator) -> list[Answer | None]:
    """This provider's answers; where it was not asked, that to a picture with the same truth. Of nobody's choice: None."""
    given = seen.answers[provider]
    donors: dict[frozenset[str] | None, list[int]] = {}
    for i, answer in enumerate(given):
        if answer is not None:
            donors.setdefault(truth[i], []).append(i)
    everybody = [i for some in donors.values() for i in some]
    out: list[Answer | None] = []
    for i, answer in enumerate(given):
        if answer is not None or not everybody:
            out.append(answer)
            continue
        some = donors.get(truth[i])
        lender = (some or everybody)[rng.integers(len(some or everybody))]
        lent = given[lender]
        assert lent is not None
        if some is None:  # nobody with this truth: keep only whether it was right
            said = truth[i] if labels_of(lent) == truth[lender] else labels_of(lent)
            lent = tuple(Seen(label, tag.confidence) for label, tag in zip(sorted(said or ()), lent, strict=False))
        out.append(lent)
    return out
