"""Answers as numbers: what is known of a picture once some providers have answered.

Confidences of different providers can't be compared, and a provider may change its scale. So only their order is used: each becomes its
rank among that provider's earlier confidences, over all labels and among those of the same label.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from cost.escalation.boxes import Drawn
from cost.records import Answer, Records

Floats = NDArray[np.float64]
KNOTS = 63  # quantiles kept of each distribution of confidences: ranks to about 1 %
MIN_RANKED = 15  # fewer confidences of one label than this, and its ranks are those among all labels
LABELS_MAX = 120  # more labels than this, and the rarest of them share columns
SHARED = tuple(f"\0{k}" for k in range(32))  # so many: two of one picture's rare labels seldom meet in one
SHAPES = 5  # columns of a rank's shape: constant, slope, two bends, the top
VOTE_WIDTH = 2 * SHAPES - 1 + 2  # shape of the rank in its label, shape of the rank in all (constant only once), count, size
RANK_OF_ALL = SHAPES  # which of these columns is the rank in all itself


@dataclass(frozen=True)
class Said:
    """One provider's answers to n pictures, a line for each (picture, label) it named.

    Attributes:
        row, label: (m,) which picture, which column of the vocabulary.
        shape: (m, VOTE_WIDTH) the confidence's rank in a form that a straight line can use.
        rank: (m,) the confidence's rank among all of this provider's, in [-1, 1].
        named: (n,) how many labels it named, those outside of the vocabulary too.
        answered: (n,) whether it answered at all.
        drawn: n answers' boxes; empty ones where there are none.
    """

    row: NDArray[np.intp]
    label: NDArray[np.intp]
    shape: Floats
    rank: Floats
    named: Floats
    answered: NDArray[np.bool_]
    drawn: Sequence[tuple[Drawn, ...]]

    def take(self, rows: NDArray[np.intp]) -> Said:
        """The answers to these pictures, in this order; no picture twice."""
        place = np.full(len(self.named), -1)
        place[rows] = np.arange(len(rows))
        kept = place[self.row] >= 0
        drawn = [self.drawn[i] for i in rows.tolist()]
        return Said(
            place[self.row[kept]], self.label[kept], self.shape[kept], self.rank[kept], self.named[rows], self.answered[rows], drawn
        )


Evidence = Mapping[str, Said]


@dataclass(frozen=True)
class Encoder:
    """Turns answers into `Said`, as the confidences it was fitted on were distributed.

    Attributes:
        vocabulary: the labels that are learned about, each a column; of very many, the rare ones share the last columns.
        knots: (provider, label or None for all) -> quantiles of the confidences, ascending.
    """

    vocabulary: tuple[str, ...]
    knots: Mapping[tuple[str, str | None], Floats]

    @classmethod
    def fit(cls, records: Records) -> Encoder:
        """Learn the vocabulary and how each provider's confidences are distributed."""
        seen = Counter(label for truth in records.truth for label in truth or ())
        values: dict[tuple[str, str | None], list[float]] = {}
        for provider in records.providers:
            for answer in records.answers[provider]:
                for tag in answer or ():
                    seen[tag.label] += 1
                    if tag.confidence is not None:
                        values.setdefault((provider, None), []).append(tag.confidence)
                        values.setdefault((provider, tag.label), []).append(tag.confidence)
        vocabulary = tuple(sorted(sorted(seen), key=lambda label: -seen[label]))
        if len(vocabulary) > LABELS_MAX:
            vocabulary = vocabulary[: LABELS_MAX - len(SHARED)] + SHARED
        quantiles = np.arange(1, KNOTS + 1) / (KNOTS + 1)
        knots = {
            key: np.quantile(np.array(v), quantiles, method="inverted_cdf")
            for key, v in values.items()
            if key[1] is None or len(v) >= MIN_RANKED
        }
        return cls(vocabulary, knots)

    def column(self, label: str) -> int | None:
        """Where this label stands; None where it was never seen."""
        own = self._columns.get(label)
        return self._columns.get(SHARED[crc32(label.encode()) % len(SHARED)]) if own is None else own

    def labels_at(self, column: int, answers: Iterable[Answer | None]) -> list[str]:
        """What a column means for a picture with these answers: its label, or those of the labels named there that share it."""
        label = self.vocabulary[column]
        if label not in SHARED:
            return [label]
        return list(dict.fromkeys(tag.label for answer in answers for tag in answer or () if self.column(tag.label) == column))

    @cached_property
    def _columns(self) -> dict[str, int]:
        return {label: k for k, label in enumerate(self.vocabulary)}

    def encode(self, answers: Mapping[str, Sequence[Answer | None]]) -> dict[str, Said]:
        """Each provider's answers to the same n pictures."""
        return {provider: self._said(provider, given) for provider, given in answers.items()}

    def _said(self, provider: str, answers: Sequence[Answer | None]) -> Said:
        named = [(i, self.column(tag.label), tag) for i, answer in enumerate(answers) for tag in answer or ()]
        tags = [(i, k, tag) for i, k, tag in named if k is not None]
        row = np.array([i for i, _, _ in tags], dtype=np.intp)
        label = np.array([k for _, k, _ in tags], dtype=np.intp)
        confidence = np.array([np.nan if tag.confidence is None else tag.confidence for _, _, tag in tags], dtype=np.float64)
        overall = _rank(self.knots.get((provider, None)), confidence)
        within = overall.copy()
        for k in np.unique(label):
            knots = self.knots.get((provider, self.vocabulary[k]))
            if knots is not None:
                within[label == k] = _rank(knots, confidence[label == k])
        count = np.array([min(tag.count - 1, 8) / 4 for _, _, tag in tags], dtype=np.float64)
        size = np.array([0.0 if tag.size is None else min(max(tag.size, 0.0), 1.0) ** 0.5 - 0.5 for _, _, tag in tags], dtype=np.float64)
        shape = np.column_stack([_shape(within), _shape(overall)[:, 1:], count, size])
        many = np.array([0 if answer is None else len(answer) for answer in answers], dtype=np.float64)
        drawn = [tuple(box for tag in answer or () for box in tag.drawn) for answer in answers]
        return Said(row, label, shape, overall, many, np.array([answer is not None for answer in answers], dtype=np.bool_), drawn)


def _rank(knots: Floats | None, confidence: Floats) -> Floats:
    """Mid-rank in [-1, 1]; 0, the middle, for a confidence that isn't told."""
    if knots is None:
        return np.zeros(len(confidence))
    rank = (np.searchsorted(knots, confidence, "left") + np.searchsorted(knots, confidence, "right")) / len(knots) - 1.0
    return np.where(np.isnan(confidence), 0.0, rank)


def _shape(rank: Floats) -> Floats:
    """(m, SHAPES): a bent line in the rank, with a bend of its own for the surest tenth."""
    bends = [np.ones_like(rank), rank, np.maximum(rank - 0.5, 0), np.maximum(-0.5 - rank, 0), 10 * np.maximum(rank - 0.9, 0)]
    return np.column_stack(bends)
