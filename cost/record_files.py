"""Records and prices from files."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cost.money import FREE, Money
from cost.record_lines import from_json_lines
from cost.records import NOBODYS, Answer, BadRecords, Kind, Records, Seen, labels_of, rewards_of

MARKS = {"true": 1.0, "false": 0.0}  # how many programs write what is correct


def read_records(path: Path) -> Records:
    """Records of either form, by the file's name: `.csv`, `.csv.gz`, `.jsonl`, `.jsonl.gz`.

    Raises:
        BadRecords: neither form, or no provider in it.
        OSError: the file can't be read.
    """
    raw = path.read_bytes()
    try:
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8-sig")
    except (gzip.BadGzipFile, zlib.error, EOFError, UnicodeDecodeError) as error:
        raise BadRecords(f"{path.name}: {error}") from error
    json_lines = any(suffix in {".jsonl", ".ndjson"} for suffix in path.suffixes) or text.lstrip()[:1] == "{"
    return from_json_lines(io.StringIO(text)) if json_lines else from_csv(text)


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
    try:
        # Decimal of the number's own text: a price never passes through a float.
        sheets = dict(json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal))
    except (ValueError, TypeError) as error:
        raise BadRecords(f"{path.name} is no JSON object of prices: {error}") from error
    if stem not in sheets:
        raise BadRecords(f"{path.name} has no prices for {stem!r}; it has {', '.join(sorted(sheets))}")
    try:
        return {provider: _price(api["usd_per_call"]) for provider, api in sheets[stem]["apis"].items()}
    except (AttributeError, KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise BadRecords(f"{path.name}: {stem}: {error!r}") from error


def _price(told: Decimal | int | str) -> Money:
    price = Money.usd(f"{round(Decimal(told), 9):f}")
    if price < FREE or isinstance(told, bool):
        raise ValueError(f"{told} is no price")
    return price


def from_csv(text: str) -> Records:
    """The CSV form, as the module's docstring has it."""
    columns = _columns(text)
    n = len(next(iter(columns.values())))
    tags = any(c.startswith(("true_labels", "labels_")) for c in columns)
    single = any(c.startswith(("true_label", "label_", "correct_")) for c in columns)
    kind: Kind = "tags" if tags or not single else "label"
    stems = ("labels_", "reward_", "conf_", "correct_") if kind == "tags" else ("label_", "conf_", "correct_", "reward_")
    providers = tuple(dict.fromkeys(c[len(s) :] for c in columns for s in stems if c.startswith(s)))
    if not providers:
        raise BadRecords(f"no provider columns among {', '.join(columns)}")
    truth = _truths(columns, kind, n)
    answers: dict[str, list[Answer | None]] = {}
    rewards = {}
    for p in providers:
        if kind == "tags":
            answers[p] = [_tags(cell) for cell in columns[f"labels_{p}"]] if f"labels_{p}" in columns else [None] * n
        else:
            answers[p] = _single(columns.get(f"label_{p}"), columns.get(f"conf_{p}"), n)
        rewards[p] = rewards_of(kind, answers[p], truth)
        if given := columns.get(f"reward_{p}") or columns.get(f"correct_{p}"):
            told = np.array([_reward(cell) for cell in given])
            rewards[p] = np.where(np.isnan(told), rewards[p], told)
    if kind == "label" and all(t is None for t in truth):
        truth = _truth_of_correct(answers, rewards, n)
    return Records(kind, providers, answers, truth, rewards)


def _columns(text: str) -> dict[str, tuple[str, ...]]:
    """Name -> cells. Empty lines are none; a row that is shorter or longer than the header is a mistake that nobody should guess about."""
    try:
        header, *rows = [row for row in csv.reader(io.StringIO(text)) if row] or [[]]
    except csv.Error as error:
        raise BadRecords(f"not a CSV file: {error}") from error
    if not rows:
        raise BadRecords("no rows")
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise BadRecords(f"row {number} has {len(row)} cells, and the header {len(header)}")
    return dict(zip(header, zip(*rows, strict=True), strict=True))


def _truths(columns: Mapping[str, Sequence[str]], kind: Kind, n: int) -> list[frozenset[str] | None]:
    if kind == "tags" and "true_labels" in columns:
        return [frozenset(filter(None, cell.split("|"))) for cell in columns["true_labels"]]
    if kind == "label" and "true_label" in columns:
        return [frozenset([cell]) if cell else None for cell in columns["true_label"]]
    return [None] * n


def _truth_of_correct(
    answers: Mapping[str, Sequence[Answer | None]], rewards: Mapping[str, NDArray[np.float64]], n: int
) -> list[frozenset[str] | None]:
    """Where a provider is marked correct, its label is the truth. Where all labels that can be seen are wrong, nobody said it."""
    truth: list[frozenset[str] | None] = [None] * n
    for i in range(n):
        marks = [(rewards[p][i], labels_of(a)) for p in answers if (a := answers[p][i]) is not None]
        right = next((labels for mark, labels in marks if mark == 1.0), None)
        truth[i] = right if right is not None else frozenset([NOBODYS]) if marks and all(mark == 0.0 for mark, _ in marks) else None
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


def _reward(cell: str) -> float:
    return MARKS.get(cell.strip().lower(), _number(cell))


def _number(cell: str) -> float:
    try:
        return np.double(cell).item()
    except ValueError:
        return np.nan


def _confidence(cell: str) -> float | None:
    value = _number(cell)
    return value if np.isfinite(value) else None
