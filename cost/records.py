"""Pictures that several providers answered: what escalation is learned from, and what a backtest replays.

Two forms of file are read into one (`record_files`, `record_lines`):

* the CSV form of public recordings, plain or `.gz`. Single label: `true_label,label_P,conf_P,correct_P`. Tags:
  `true_labels,reward_P,labels_P` with `name:confidence|...`. Any column but the truth-or-reward may be missing.
* the gateway's own comparisons, one JSON object a line, `.jsonl` plain or `.gz`:

      {"digest": "...", "answers": {"local": {"labels": [{"label": "dog", "confidence": 0.9, "count": 2, "size": 0.14}],
       "reward": 0.5, "verdict": "wrong", "price_usd": "0.0000007"}, "rekognition": {...}}, "truth": ["dog"], "reference": null}

  `count` is how many boxes bear the label, `size` the largest one's share of the picture. `reward` (0..1, F1 of boxes, say), `verdict`
  (a person's) and `truth` are each optional. Without any of them, agreement with `reference` is what is learned, and it is called so.
  In place of `labels` there may be `found`, box by box, as `cost.comparisons` writes it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cost.escalation.boxes import Drawn, stake
from cost.money import Money

Kind = Literal["label", "tags"]
Target = Literal["truth", "agreement"]
NOBODYS = ""  # the true label, where all that is known of it is that nobody said it


class BadRecords(ValueError):
    """The file is not in a form that can be read; says what was looked for."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One label in one provider's answer.

    Attributes:
        label: canonical name.
        confidence: the provider's own, any monotone scale; None when it tells none.
        count: how many boxes bear the label.
        size: share of the picture that the largest of them covers, in [0, 1]; None without boxes.
        drawn: the boxes themselves, where they are known.
    """

    label: str
    confidence: float | None = None
    count: int = 1
    size: float | None = None
    drawn: tuple[Drawn, ...] = field(default=(), compare=False)


Answer = tuple[Seen, ...]


@dataclass(frozen=True)
class Records:
    """n pictures, each answered by every provider that has an answer or a reward there.

    Attributes:
        kind: `label`: one label is the answer; `tags`: a set of labels is.
        providers: their names, in the file's order, which means nothing.
        answers: provider -> n answers; None where it was not asked, or where only its reward is known.
        truth: n sets of true labels; None where nobody knows.
        rewards: provider -> (n,) how good its answer was, in [0, 1]; NaN where unknown.
        target: what `rewards` and `truth` mean: the truth, or agreement with a reference provider.
        prices: provider -> what a call cost, where the records themselves tell it.
        boxes: provider -> n answers box by box, None as in `answers`; empty where these records have no boxes.
        true_boxes: n sets of true boxes, None where nobody knows; empty as `boxes`.
    """

    kind: Kind
    providers: tuple[str, ...]
    answers: Mapping[str, Sequence[Answer | None]]
    truth: Sequence[frozenset[str] | None]
    rewards: Mapping[str, NDArray[np.float64]]
    target: Target = "truth"
    prices: Mapping[str, Money] = field(default_factory=dict)
    boxes: Mapping[str, Sequence[tuple[Drawn, ...] | None]] = field(default_factory=dict)
    true_boxes: Sequence[tuple[Drawn, ...] | None] = ()

    def __len__(self) -> int:
        return len(self.truth)

    def take(self, rows: Iterable[int]) -> Records:
        """These rows, in this order."""
        rows = list(rows)
        return Records(
            self.kind,
            self.providers,
            {p: [a[i] for i in rows] for p, a in self.answers.items()},
            [self.truth[i] for i in rows],
            {p: r[rows] for p, r in self.rewards.items()},
            self.target,
            self.prices,
            {p: [b[i] for i in rows] for p, b in self.boxes.items()},
            [self.true_boxes[i] for i in rows] if self.true_boxes else (),
        )

    def only(self, providers: Collection[str]) -> Records:
        """The answers of these providers."""
        kept = tuple(p for p in self.providers if p in providers)
        return replace(
            self,
            providers=kept,
            answers={p: self.answers[p] for p in kept},
            rewards={p: self.rewards[p] for p in kept},
            boxes={p: self.boxes[p] for p in kept if p in self.boxes},
        )

    def without_truth(self) -> Records:
        """The answers alone."""
        nothing = {p: np.full(len(self), np.nan) for p in self.providers}
        return Records(self.kind, self.providers, self.answers, [None] * len(self), nothing, "agreement", self.prices)

    def stakes(self) -> NDArray[np.float64]:
        """(n,) how much each picture counts, 1 in the mean. A box is a box: a picture with many things on it counts for more."""
        things = [None if true is None else len(true) for true in self.true_boxes]
        known = [many for many in things if many is not None]
        if not known:
            return np.ones(len(self))
        usual = np.mean(known).item()
        return np.array([1.0 if many is None else stake(many, usual) for many in things])

    def opaque(self, provider: str) -> bool:
        """Whether nothing but rewards is known of this provider: it can be chosen, but not looked at."""
        return all(a is None for a in self.answers[provider])


def jaccard(said: frozenset[str], truth: frozenset[str]) -> float:
    """Shared labels over all labels, in [0, 1]; two empty sets agree."""
    return len(said & truth) / len(said | truth) if said | truth else 1.0


def reward_of(kind: Kind, said: frozenset[str], truth: frozenset[str] | None) -> float:
    """How good an answer of these labels is, in [0, 1]; NaN where the truth is unknown."""
    if truth is None:
        return np.nan
    return jaccard(said, truth) if kind == "tags" else 1.0 * (said == truth)


def labels_of(answer: Answer) -> frozenset[str]:
    """The names alone."""
    return frozenset(seen.label for seen in answer)


def rewards_of(kind: Kind, answers: Sequence[Answer | None], truth: Sequence[frozenset[str] | None]) -> NDArray[np.float64]:
    """(n,) how good each answer is; NaN where it or the truth is unknown."""
    pairs = zip(answers, truth, strict=True)
    return np.array([np.nan if a is None else reward_of(kind, labels_of(a), t) for a, t in pairs], dtype=np.float64)
