"""The gateway's own comparisons as records, as `cost.records` describes them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from cost.comparisons.terms import Comparison
from cost.escalation.boxes import SHOWN_FROM, Drawn, Vote, f1, fuse
from cost.money import Money
from cost.records import Answer, BadRecords, Records, Seen, Target, labels_of, rewards_of
from cost.told import told

VERDICTS = {"correct": 1.0, "wrong": 0.0}
KNOWN_MIN = 30  # fewer pictures than this whose truth is known, and agreement teaches more
Row = Mapping[str, Any]


def from_json_lines(lines: Iterable[str]) -> Records:
    """The lines of a file.

    Raises:
        BadRecords: a line that isn't such an object, or no line at all.
    """
    try:
        return from_rows([json.loads(line, parse_float=Decimal) for line in lines if line.strip()])
    except (LookupError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise BadRecords(f"not a comparison record: {told(error)}") from error


def records_of(comparisons: Iterable[Comparison]) -> Records:
    """What the database keeps. Raises `BadRecords` where there is nothing."""
    return from_rows([comparison.to_json() for comparison in comparisons])


def from_rows(rows: Sequence[Row]) -> Records:
    """Parsed lines. Truth and agreement are never mixed: which of the two is learned stands in `target`."""
    providers = tuple(dict.fromkeys(p for row in rows for p in row["answers"]))
    if not providers:
        raise BadRecords("no comparison record in it")
    given = {p: [row["answers"].get(p) for row in rows] for p in providers}
    answers = {p: [_answer(one) for one in each] for p, each in given.items()}
    boxed_rows = [_has_boxes(row) for row in rows]
    boxes = {p: [_boxes(one) if has else None for one, has in zip(each, boxed_rows, strict=True)] for p, each in given.items()}
    marks = {p: np.array([_mark(one) for one in each], dtype=np.float64) for p, each in given.items()}
    truth = [None if row.get("truth") is None else frozenset(map(_name, row["truth"])) for row in rows]
    true_boxes = [_true_boxes(row) if has else None for row, has in zip(rows, boxed_rows, strict=True)]
    known = sum(t is not None or any(not np.isnan(marks[p][i]) for p in providers) for i, t in enumerate(truth))
    agreeing = any(row.get("reference") for row in rows) or any(b is not None for each in boxes.values() for b in each)
    target: Target = "truth" if known >= min(KNOWN_MIN, (len(rows) + 1) // 2) or (known and not agreeing) else "agreement"
    if target == "agreement":
        marks = {p: np.full(len(rows), np.nan) for p in providers}
        references = [row.get("reference") for row in rows]
        truth = [None if (a := answers.get(r, [None] * len(rows))[i]) is None else labels_of(a) for i, r in enumerate(references)]
        true_boxes = [_agreed({p: boxes[p][i] for p in providers}, r) for i, r in enumerate(references)]
        truth = [t if t is not None or b is None else frozenset(d.label for d in b) for t, b in zip(truth, true_boxes, strict=True)]
    boxed = any(b is not None for each in boxes.values() for b in each) and any(t is not None for t in true_boxes)
    rewards = {}
    for p in providers:
        earned = rewards_of("tags", answers[p], truth)
        if boxed:
            by_box = [np.nan if b is None or t is None else f1(_shown(b), t) for b, t in zip(boxes[p], true_boxes, strict=True)]
            earned = np.where(np.isnan(by_box), earned, by_box)
        rewards[p] = np.where(np.isnan(marks[p]), earned, marks[p])
    prices: dict[str, Money] = {}
    for p, each in given.items():
        told = [Money.usd(str(one["price_usd"])) for one in each if one is not None and one.get("price_usd") is not None]
        if told:
            prices[p] = max(told)  # some of them were a month's free ones
    seen_boxes = boxes if boxed else {}
    return Records("tags", providers, answers, truth, rewards, target, prices, seen_boxes, true_boxes if boxed else ())


def seen_in(found: Iterable[Row]) -> Answer:
    """Things with their boxes as labels: each label's surest confidence, how many there are, how large the largest is."""
    things: dict[str, list[Row]] = {}
    for one in found:
        things.setdefault(str(one["label"]), []).append(one)
    return tuple(
        Seen(
            label,
            max((_plain(one["confidence"]) for one in ones if one.get("confidence") is not None), default=None),
            len(ones),
            max((_area(one["box"]) for one in ones if one.get("box") is not None), default=None),
            _drawn(ones),
        )
        for label, ones in things.items()
    )


def _answer(answer: Row | None) -> Answer | None:
    if answer is not None and answer.get("found") is not None:
        return seen_in(answer["found"])
    if answer is None or answer.get("labels") is None:
        return None
    return tuple(
        Seen(
            str(s["label"]),
            None if s.get("confidence") is None else _plain(s["confidence"]),
            int(s.get("count", 1)),
            None if s.get("size") is None else _plain(s["size"]),
        )
        for s in answer["labels"]
    )


def _has_boxes(row: Row) -> bool:
    found = [one for answer in row["answers"].values() for one in (answer or {}).get("found") or ()]
    return row.get("feature") in {"objects", "faces"} or any(one.get("box") is not None for one in found)


def _boxes(answer: Row | None) -> tuple[Drawn, ...] | None:
    return None if answer is None or answer.get("found") is None else _drawn(answer["found"])


def _true_boxes(row: Row) -> tuple[Drawn, ...] | None:
    """None where the truth is unknown, or known by name only."""
    truth = row.get("truth")
    if truth is None or any(isinstance(one, str) or one.get("box") is None for one in truth):
        return None
    return _drawn(truth)


def _drawn(found: Iterable[Row]) -> tuple[Drawn, ...]:
    return tuple(
        Drawn(
            str(one["label"]),
            (_plain(one["box"][0]), _plain(one["box"][1]), _plain(one["box"][2]), _plain(one["box"][3])),
            None if one.get("confidence") is None else _plain(one["confidence"]),
        )
        for one in found
        if one.get("box") is not None
    )


def _shown(boxes: tuple[Drawn, ...]) -> list[Drawn]:
    """What a client sees of an answer unless it says otherwise."""
    return [box for box in boxes if box.confidence is None or box.confidence >= SHOWN_FROM]


def _agreed(boxes: Mapping[str, tuple[Drawn, ...] | None], reference: str | None) -> tuple[Drawn, ...] | None:
    """What stands for the true boxes where nobody tells: the reference's; or what at least half of those who answered have drawn."""
    if reference is not None:
        told = boxes.get(reference)
        return None if told is None else tuple(_shown(told))
    answered = {p: b for p, b in boxes.items() if b is not None}
    if len(answered) < 2:
        return None
    votes = [Vote(p, d.label, 1.0 if d.confidence is None else d.confidence, d.corners) for p, b in answered.items() for d in _shown(b)]
    return tuple(Drawn(t.label, t.corners) for t in fuse(votes) if 2 * len(t.votes) >= len(answered))


def _name(true: Row | str) -> str:
    return true if isinstance(true, str) else str(true["label"])


def _area(box: Sequence[Any]) -> float:
    left, top, right, bottom = (_plain(side) for side in box)
    return max(right - left, 0.0) * max(bottom - top, 0.0)


def _plain(number: object) -> float:
    """A JSON number, which may have been parsed as a Decimal."""
    return np.double(str(number)).item()


def _mark(answer: Row | None) -> float:
    """A measured reward, else a person's verdict, else unknown."""
    if answer is None:
        return np.nan
    if answer.get("reward") is not None:
        return _plain(answer["reward"])
    return VERDICTS.get(str(answer.get("verdict")), np.nan)
