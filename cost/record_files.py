"""Records and prices from files."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cost.money import Money
from cost.record_lines import from_json_lines
from cost.records import NOBODYS, Answer, BadRecords, Kind, Records, Seen, labels_of, rewards_of


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
        rewards[p] = np.array([_number(cell) for cell in given]) if given else rewards_of(kind, answers[p], truth)
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
