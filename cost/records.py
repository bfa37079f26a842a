"""Pictures that several providers answered: what escalation is learned from, and what a backtest replays.

Two forms are read into one:

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

import csv
import gzip
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cost.money import Money

Kind = Literal["label", "tags"]
Target = Literal["truth", "agreement"]
VERDICTS = {"correct": 1.0, "wrong": 0.0}
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
    """

    label: str
    confidence: float | None = None
    count: int = 1
    size: float | None = None


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
    """

    kind: Kind
    providers: tuple[str, ...]
    answers: Mapping[str, Sequence[Answer | None]]
    truth: Sequence[frozenset[str] | None]
    rewards: Mapping[str, NDArray[np.float64]]
    target: Target = "truth"
    prices: Mapping[str, Money] = field(default_factory=dict)

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
        )

    def without_truth(self) -> Records:
        """The answers alone."""
        nothing = {p: np.full(len(self), np.nan) for p in self.providers}
        return Records(self.kind, self.providers, self.answers, [None] * len(self), nothing, "agreement", self.prices)

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


def read_records(path: Path) -> Records:
    """Records of either form, by the file's name: `.csv`, `.csv.gz`, `.jsonl`, `.jsonl.gz`.

    Raises:
        BadRecords: neither form, or no provider in it.
        OSError: the file can't be read.
    """
    raw = path.read_bytes()
    try:
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8-sig")
    except (gzip.BadGzipFile, EOFError, UnicodeDecodeError) as error:
        raise BadRecords(f"{path.name}: {error}") from error
    json_lines = any(suffix in {".jsonl", ".ndjson"} for suffix in path.suffixes) or text.lstrip()[:1] == "{"
    return from_json_lines(text.splitlines()) if json_lines else from_csv(text)


def stem_of(path: Path) -> str:
    """`FERPLUS.csv.gz` -> `FERPLUS`: the key of the records in a price file."""
    name = path.name
    for suffix in (".gz", ".csv", ".jsonl", ".ndjson"):
        name = name.removesuffix(suffix)
    return name


def read_prices(path: Path, stem: str) -> dict[str, Money]:
    """Provider -> price a call, from `{STEM: {"apis": {PROVIDER: {"usd_per_call": ...}}}}`.

    Raises:
        BadRecords: no such stem (the message lists those there are), or something that is no price. Rounded to nano-dollars.
    """
    # Decimal of the number's own text: a price never passes through a float.
    sheets = json.loads(path.read_text(), parse_float=Decimal)
    if stem not in sheets:
        raise BadRecords(f"{path.name} has no prices for {stem!r}; it has {', '.join(sorted(sheets))}")
    try:
        return {provider: Money.usd(f"{round(Decimal(api['usd_per_call']), 9):f}") for provider, api in sheets[stem]["apis"].items()}
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise BadRecords(f"{path.name}: {stem}: {error!r}") from error


def from_csv(text: str) -> Records:
    """The CSV form, as the module's docstring has it."""
    rows = csv.reader(io.StringIO(text))
    header = next(rows, [])
    columns = dict(zip(header, zip(*rows, strict=False), strict=False))
    if not columns:
        raise BadRecords("no rows")
    n = len(next(iter(columns.values())))
    kind: Kind = "tags" if "true_labels" in columns or any(c.startswith(("labels_", "reward_")) for c in columns) else "label"
    stems = ("labels_", "reward_", "conf_", "correct_") if kind == "tags" else ("label_", "conf_", "correct_", "reward_")
    providers = tuple(dict.fromkeys(c[len(s) :] for c in header for s in stems if c.startswith(s) and c in columns))
    if not providers:
        raise BadRecords(f"no provider columns among {', '.join(header)}")
    truth = _truths(columns, kind, n)
    answers: dict[str, list[Answer | None]] = {}
    rewards = {}
    for p in providers:
        if kind == "tags":
            answers[p] = [_tags(cell) for cell in columns[f"labels_{p}"]] if f"labels_{p}" in columns else [None] * n
        else:
            answers[p] = _single(columns.get(f"label_{p}"), columns.get(f"conf_{p}"), n)
        given = columns.get(f"reward_{p}") or columns.get(f"correct_{p}")
        rewards[p] = np.array([_number(cell) for cell in given]) if given else _rewards(kind, answers[p], truth)
    if kind == "label" and all(t is None for t in truth):
        truth = _truth_of_correct(answers, rewards, n)
    return Records(kind, providers, answers, truth, rewards)


def _truths(columns: Mapping[str, Sequence[str]], kind: Kind, n: int) -> list[frozenset[str] | None]:
    if kind == "tags" and "true_labels" in columns:
        return [frozenset(filter(None, cell.split("|"))) for cell in columns["true_labels"]]
    if kind == "label" and "true_label" in columns:
        return [frozenset([cell]) if cell else None for cell in columns["true_label"]]
    return [None] * n


def _truth_of_correct(
    answers: Mapping[str, Sequence[Answer | None]], rewards: Mapping[str, NDArray[np.float64]], n: int
) -> list[frozenset[str] | None]:
    """Where a provider is marked correct, its label is the truth; elsewhere nobody's is: a truth that no one can say."""
    truth: list[frozenset[str] | None] = [None] * n
    for i in range(n):
        marks = [(rewards[p][i], answers[p][i]) for p in answers]
        right = next((labels_of(a) for mark, a in marks if mark == 1.0 and a), None)
        truth[i] = right if right is not None else frozenset([NOBODYS]) if all(mark == 0.0 for mark, _ in marks) else None
    return truth


def _single(labels: Sequence[str] | None, confidences: Sequence[str] | None, n: int) -> list[Answer | None]:
    if labels is None:
        return [None] * n
    if confidences is None:
        return [(Seen(label),) if label else None for label in labels]
    return [(Seen(label, _confidence(c)),) if label else None for label, c in zip(labels, confidences, strict=True)]


def _tags(cell: str) -> Answer:
    tags: dict[str, Seen] = {}
    for item in filter(None, cell.split("|")):
        label, colon, confidence = item.rpartition(":")
        seen = Seen(label, _confidence(confidence)) if colon else Seen(item)
        known = tags.get(seen.label)
        if known is None or (seen.confidence or 0.0) > (known.confidence or 0.0):
            tags[seen.label] = seen
    return tuple(tags.values())


def _number(cell: str) -> float:
    try:
        return np.double(cell).item()
    except ValueError:
        return np.nan


def _confidence(cell: str) -> float | None:
    value = _number(cell)
    return value if np.isfinite(value) else None


def _rewards(kind: Kind, answers: Sequence[Answer | None], truth: Sequence[frozenset[str] | None]) -> NDArray[np.float64]:
    pairs = zip(answers, truth, strict=True)
    return np.array([np.nan if a is None else reward_of(kind, labels_of(a), t) for a, t in pairs], dtype=np.float64)


def from_json_lines(lines: Iterable[str]) -> Records:
    """The gateway's own comparisons, as the module's docstring has them.

    Raises:
        BadRecords: a line that isn't such an object, or no line at all.
    """
    try:
        rows: list[dict[str, Any]] = [json.loads(line, parse_float=Decimal) for line in lines if line.strip()]
        providers = tuple(dict.fromkeys(p for row in rows for p in row["answers"]))
        answers = {p: [_answer(row["answers"].get(p)) for row in rows] for p in providers}
        truth = [None if row.get("truth") is None else frozenset(map(_name, row["truth"])) for row in rows]
        marks = {p: np.array([_mark(row["answers"].get(p)) for row in rows]) for p in providers}
        prices = {p: Money.usd(a["price_usd"]) for row in rows for p, a in row["answers"].items() if a.get("price_usd") is not None}
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadRecords(f"not a comparison record: {error!r}") from error
    if not providers:
        raise BadRecords("no comparison record in it")
    target: Target = "truth"
    if all(t is None for t in truth) and all(np.isnan(m).all() for m in marks.values()):
        target = "agreement"
        truth = [
            None if (a := answers.get(row.get("reference"), [None] * len(rows))[i]) is None else labels_of(a) for i, row in enumerate(rows)
        ]
    rewards = {p: np.where(np.isnan(marks[p]), _rewards("tags", answers[p], truth), marks[p]) for p in providers}
    return Records("tags", providers, answers, truth, rewards, target, prices)


def _name(true: Mapping[str, Any] | str) -> str:
    return true if isinstance(true, str) else str(true["label"])


def seen_in(found: Iterable[Mapping[str, Any]]) -> Answer:
    """Things with their boxes as labels: each label's surest confidence, how many there are, how large the largest is."""
    things: dict[str, list[Mapping[str, Any]]] = {}
    for one in found:
        things.setdefault(str(one["label"]), []).append(one)
    return tuple(
        Seen(
            label,
            max((np.double(one["confidence"]).item() for one in ones if one.get("confidence") is not None), default=None),
            len(ones),
            max((_area(one["box"]) for one in ones if one.get("box") is not None), default=None),
        )
        for label, ones in things.items()
    )


def _area(box: Sequence[Any]) -> float:
    left, top, right, bottom = (np.double(side).item() for side in box)
    return max(right - left, 0.0) * max(bottom - top, 0.0)


def _answer(answer: Mapping[str, Any] | None) -> Answer | None:
    if answer is not None and answer.get("found") is not None:
        return seen_in(answer["found"])
    if answer is None or answer.get("labels") is None:
        return None
    return tuple(
        Seen(
            str(s["label"]),
            None if s.get("confidence") is None else np.double(s["confidence"]).item(),
            int(s.get("count", 1)),
            None if s.get("size") is None else np.double(s["size"]).item(),
        )
        for s in answer["labels"]
    )


def _mark(answer: Mapping[str, Any] | None) -> float:
    """A measured reward, else a person's verdict, else unknown."""
    if answer is None:
        return np.nan
    if answer.get("reward") is not None:
        return np.double(answer["reward"]).item()
    return VERDICTS.get(str(answer.get("verdict")), np.nan)
