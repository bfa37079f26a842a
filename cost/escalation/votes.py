"""The calibrated vote: from what several providers answered, how likely each label is true.

One model for both kinds of records. A provider's answer votes for the labels it names, with a weight that depends on how sure it is: few
numbers, the same for all labels, found from few records. On top stands what each named label says about every label (a confusion
table), pulled towards nothing: it counts where there are records enough. One label is true: softmax. A set is: a sigmoid a label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cost.escalation.evidence import SHAPES, VOTE_WIDTH, Evidence, Floats
from cost.escalation.odds import sigmoid, softmax
from cost.records import Kind

if TYPE_CHECKING:
    from scipy import sparse

STEPS = 30  # of a fit from nothing
STEPS_MORE = 10  # of a fit that begins at one on similar records
VOTE_PULL = 0.1  # the votes' own ridge: a few numbers, hardly pulled
DENSE_MAX = 20_000  # numbers of a design that is small
COLUMNS_MAX = 420  # more columns than this, and a label's confusions don't bend with the rank


@dataclass(frozen=True)
class VoteModel:
    """Fitted weights for one set of providers.

    Attributes:
        kind: how truth looks.
        providers: whose answers it reads, in this order.
        shapes: how many columns of a rank's shape the confusion table has.
        table: (1 + providers * (2 + labels * shapes), labels) the confusion table, bias first.
        votes: (providers, VOTE_WIDTH) weights of a provider's vote for what it names.
        silent: expected number of true labels that nobody named (a set of tags only).
        named_only: whether a label that nobody named has no chance (one label only; of tags it never has).
    """

    kind: Kind
    providers: tuple[str, ...]
    shapes: int
    table: Floats
    votes: Floats
    silent: float = 0.0
    named_only: bool = False

    def probabilities(self, evidence: Evidence, n: int) -> Floats:
        """(n, labels): each label's probability. Of tags, only what somebody named can be answered: the rest is 0."""
        logits = self.scores(evidence, n)
        chances = softmax(logits) if self.kind == "label" else sigmoid(logits)
        if self.kind == "label" and not self.named_only:
            return chances
        return np.where(_named(self.providers, evidence, n, self.table.shape[1]), chances, 0.0)

    def scores(self, evidence: Evidence, n: int) -> Floats:
        """(n, labels): the log-odds behind the probabilities."""
        design = _small_design if n * len(self.table) <= DENSE_MAX else _design
        logits: Floats = design(self.providers, evidence, n, self.table.shape[1], self.shapes) @ self.table
        for provider, weights in zip(self.providers, self.votes, strict=True):
            said = evidence[provider]
            logits[said.row, said.label] += said.shape @ weights
        return logits


def shapes_for(labels: int, providers: int) -> int:
    """How finely confusions may depend on the rank, so that a fit stays quick with many labels."""
    return SHAPES if labels * providers * SHAPES <= COLUMNS_MAX else 1


def fit_votes(
    kind: Kind, providers: Sequence[str], evidence: Evidence, truth: Floats, pull: float, *, shapes: int, start: VoteModel | None = None
) -> VoteModel:
    """Weights that make the truth likely, pulled towards zero by `pull` pseudo-records.

    Args:
        kind: `label` or `tags`.
        providers: whose answers are read.
        evidence: their answers to n pictures.
        truth: (n, labels) probability that a label is true: 0 or 1 where it is known.
        pull: the ridge on the confusion table.
        shapes: see `shapes_for`.
        start: a fit on similar records, to begin from.
    """
    from scipy import linalg, optimize  # noqa: PLC0415 -- half a second and 50 MB, which only a fit needs

    n, labels = truth.shape
    providers = tuple(providers)
    design = _design(providers, evidence, n, labels, shapes)
    saids = [evidence[p] for p in providers]
    counted = None if kind == "label" else np.nonzero(_named(providers, evidence, n, labels))
    width = design.shape[1]
    # The square root of the curvature makes all directions alike, which spares most of the steps.
    root = linalg.cholesky(0.25 * (design.T @ design).toarray() + pull * np.eye(width))
    straight = linalg.solve_triangular(root, np.eye(width))
    ridge = pull * straight.T @ straight
    scale = 0.3 * np.sqrt(n)

    def loss(x: Floats) -> tuple[float, Floats]:
        free = x[: width * labels].reshape(width, labels)
        votes = x[width * labels :].reshape(-1, VOTE_WIDTH) / scale
        logits = design @ (straight @ free)
        for said, weights in zip(saids, votes, strict=True):
            logits[said.row, said.label] += said.shape @ weights
        value, error = _cross_entropy(logits, truth, counted)
        pulled = ridge @ free
        value += 0.5 * np.sum(free * pulled) + 0.5 * VOTE_PULL * np.sum(votes * votes)
        slopes = [(said.shape.T @ error[said.row, said.label]) for said in saids]
        vote_slope = (np.array(slopes).reshape(-1, VOTE_WIDTH) + VOTE_PULL * votes) / scale
        return value, np.concatenate([(straight.T @ (design.T @ error) + pulled).ravel(), vote_slope.ravel()])

    begin = np.zeros(width * labels + VOTE_WIDTH * len(saids))
    if start is not None:
        begin = np.concatenate([(root @ start.table).ravel(), start.votes.ravel() * scale])
    found = optimize.minimize(
        loss, begin, jac=True, method="L-BFGS-B", options={"maxiter": STEPS if start is None else STEPS_MORE, "ftol": 1e-5}
    ).x
    table = straight @ found[: width * labels].reshape(width, labels)
    silent = 0.0 if counted is None else (truth.sum() - truth[counted].sum()).item() / n
    return VoteModel(kind, providers, shapes, table, found[width * labels :].reshape(-1, VOTE_WIDTH) / scale, silent)


def _design(providers: Sequence[str], evidence: Evidence, n: int, labels: int, shapes: int) -> sparse.csr_array:
    """(n, 1 + providers * (2 + labels * shapes)): bias, then a provider's silence, its number of labels, and its shaped labels."""
    from scipy import sparse  # noqa: PLC0415 -- as above

    rows, columns, values = _entries(providers, evidence, n, labels, shapes)
    return sparse.csr_array((values, (rows, columns)), shape=(n, 1 + len(providers) * (2 + labels * shapes)))


def _small_design(providers: Sequence[str], evidence: Evidence, n: int, labels: int, shapes: int) -> Floats:
    """The same for few pictures, mostly one: to make it sparse takes longer than all else that a request's judgement needs."""
    rows, columns, values = _entries(providers, evidence, n, labels, shapes)
    design = np.zeros((n, 1 + len(providers) * (2 + labels * shapes)))
    np.add.at(design, (rows, columns), values)
    return design


def _entries(
    providers: Sequence[str], evidence: Evidence, n: int, labels: int, shapes: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
    """What stands in the design where: row, column, value; the rest is 0."""
    each, shape = np.arange(n), np.arange(shapes)
    rows, columns, values = [each], [np.zeros(n, dtype=np.intp)], [np.ones(n)]
    for place, provider in enumerate(providers):
        said, first = evidence[provider], 1 + place * (2 + labels * shapes)
        rows += [each, each, np.repeat(said.row, shapes)]
        columns += [np.full(n, first), np.full(n, first + 1), (first + 2 + said.label[:, None] * shapes + shape).ravel()]
        values += [(said.named == 0).astype(np.float64), np.log1p(said.named) - 1.0, said.shape[:, :shapes].ravel()]
    return np.concatenate(rows), np.concatenate(columns), np.concatenate(values)


def _named(providers: Sequence[str], evidence: Evidence, n: int, labels: int) -> NDArray[np.bool_]:
    named = np.zeros((n, labels), dtype=np.bool_)
    for provider in providers:
        named[evidence[provider].row, evidence[provider].label] = True
    return named


def _cross_entropy(logits: Floats, truth: Floats, counted: tuple[NDArray[np.intp], ...] | None) -> tuple[float, Floats]:
    """The loss and its slope in the logits: softmax over labels, or a sigmoid for each counted (picture, label)."""
    if counted is None:
        logits = logits - logits.max(axis=1, keepdims=True)
        powers = np.exp(logits)
        total = powers.sum(axis=1, keepdims=True)
        weight = truth.sum(axis=1, keepdims=True)
        return np.sum(np.log(total) * weight) - np.sum(logits * truth), powers / total * weight - truth
    scores, true = logits[counted], truth[counted]
    chance = sigmoid(scores)
    error = np.zeros(logits.shape)
    error[counted] = chance - true
    return np.sum(np.maximum(scores, 0.0) - scores * true + np.log1p(np.exp(-np.abs(scores)))), error
