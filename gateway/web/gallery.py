"""The gallery of disagreements: each picture with what every arm saw on it, those that they disagree about most first."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.experiments.answers import Judged
from gateway.experiments.matching import match_things
from gateway.experiments.scoring import CROWD
from gateway.experiments.terms import TRUTH, Observation, Terms
from providers.contract import Detection

PAGE = 12

_LETTER = 0.6
"""Of a letter's width, in its height."""


@dataclass(frozen=True, slots=True)
class Box:
    """A box in the picture's pixels; `alone`: nobody else has seen it, or the truth hasn't."""

    x: float
    y: float
    width: float
    height: float
    text_x: float
    text_y: float
    anchor: str
    text: str
    alone: bool


@dataclass(frozen=True, slots=True)
class Chip:
    """A name without a place."""

    text: str
    alone: bool


@dataclass(frozen=True, slots=True)
class Side:
    """What one arm, or the truth, says of a picture. `key` judges it right; "" for the truth."""

    name: str
    n: int
    key: str
    boxes: Sequence[Box]
    chips: Sequence[Chip]
    error: str
    told: str
    right: bool | None


@dataclass(frozen=True, slots=True)
class Item:
    """One picture. `text_size` is of the boxes' names, in the picture's pixels."""

    digest: str
    place: int
    width: int
    height: int
    text_size: float
    disagreement: float
    sides: Sequence[Side]
    judged: bool


@dataclass(frozen=True, slots=True)
class Gallery:
    """One page of it, and what there is to choose from."""

    items: Sequence[Item]
    labels: Sequence[tuple[str, int]]
    label: str
    page: int
    pages: int
    pictures: int


def gallery_of(terms: Terms, judged: Judged, *, label: str = "", page: int = 1, size: int = PAGE) -> Gallery:
    """The pictures on which something is said, those that are disagreed about most first.

    Args:
        terms: of the experiment.
        judged: its pictures.
        label: only pictures on which somebody sees it; "" for all.
        page: from 1 on; one that there is not is the nearest that there is.
        size: pictures a page.
    """
    seen = [_labels(terms, judged, one) for one in judged.observations]
    counts = Counter(name for names in seen for name in names)
    order = sorted((n for n, names in enumerate(seen) if (label in names if label else names)), key=lambda n: (-judged.disagreement[n], n))
    pages = max(1, -(-len(order) // size))
    page = min(max(page, 1), pages)
    first = (page - 1) * size
    items = [
        _item(terms, judged, judged.observations[n], judged.disagreement[n], first + place)
        for place, n in enumerate(order[first : first + size], 1)
    ]
    return Gallery(items, counts.most_common(), label, page, pages, len(order))


def _labels(terms: Terms, judged: Judged, one: Observation) -> set[str]:
    sides = [*(_sure(terms, judged, answer.detections) for answer in one.answers.values()), _sure(terms, judged, one.truth or ())]
    return {found.label for side in sides for found in side}


def _sure(terms: Terms, judged: Judged, detections: Sequence[Detection]) -> list[Detection]:
    return [found for found in detections if found.feature == judged.feature and found.confidence >= terms.min_confidence]


def _item(terms: Terms, judged: Judged, one: Observation, disagreement: float, place: int) -> Item:
    said = {arm.name: _sure(terms, judged, one.answers[arm.name].detections) for arm in terms.arms if arm.name in one.answers}
    truth = None if one.truth is None else _sure(terms, judged, one.truth)
    sides = [
        _side(terms, one, name, n, found, [truth] if truth is not None else [other for rival, other in said.items() if rival != name])
        for n, (name, found) in enumerate(said.items())
    ]
    if truth is not None:
        shown = [found for found in truth if found.provider_label != CROWD]
        found = [_common(shown, seen, terms.iou_min) for seen in said.values()]
        missed = set(range(len(shown))).difference(*found)
        sides.append(Side(TRUTH, -1, "", _boxes(one, shown, missed), _chips(shown, missed), "", f"{len(shown)} there", None))
    return Item(
        one.digest, place, one.width, one.height, round(max(one.width, one.height) / 26, 1), disagreement, sides, one.people is not None
    )


def _side(terms: Terms, one: Observation, name: str, n: int, found: list[Detection], others: list[list[Detection]]) -> Side:
    answer = one.answers[name]
    alone = {k for other in others for k in range(len(found)) if k not in _common(found, other, terms.iou_min)}
    told = [f"{len(found)} found", f"${answer.cost}"] + ([] if answer.latency_ms is None else [f"{answer.latency_ms:.0f} ms"])
    return Side(
        name=name,
        n=n % 6,
        key=str([arm.name for arm in terms.arms].index(name) + 1),
        boxes=_boxes(one, found, alone),
        chips=_chips(found, alone),
        error=answer.error,
        told=" · ".join(told),
        right=None if one.people is None else name in one.people,
    )


def _common(found: list[Detection], other: list[Detection], iou_min: float) -> set[int]:
    """Which of `found` are in `other` too."""
    placed = [n for n, thing in enumerate(found) if thing.box is not None]
    matches = match_things([found[n] for n in placed], [thing for thing in other if thing.box is not None], iou_min)
    names = {(thing.label, thing.text) for thing in other if thing.box is None}
    return {placed[match.found] for match in matches} | {
        n for n, thing in enumerate(found) if thing.box is None and (thing.label, thing.text) in names
    }


def _boxes(one: Observation, found: Sequence[Detection], alone: set[int]) -> list[Box]:
    size = max(one.width, one.height) / 26
    boxes = []
    for n, thing in enumerate(found):
        if thing.box is not None:
            x, y = thing.box.x_min * one.width, thing.box.y_min * one.height
            width, height = (thing.box.x_max - thing.box.x_min) * one.width, (thing.box.y_max - thing.box.y_min) * one.height
            text_y = y - size * 0.3 if y > size * 1.4 else y + size
            x, y, width, height, text_y = (round(edge, 1) for edge in (x, y, width, height, text_y))
            text = thing.text or thing.label
            late = x + len(text) * size * _LETTER > one.width  # it would not fit: it ends where its box ends
            boxes.append(Box(x, y, width, height, x + width - 2 if late else x + 2, text_y, "end" if late else "start", text, n in alone))
    return boxes


def _chips(found: Sequence[Detection], alone: set[int]) -> list[Chip]:
    """Names without a place, and what was read; of boxes, how many there are of each label."""
    placed: Mapping[str, int] = Counter(thing.label for thing in found if thing.box is not None and thing.text is None)
    lonely = {found[n].label for n in alone}
    counted = [Chip(f"{label} × {count}" if count > 1 else label, label in lonely) for label, count in sorted(placed.items())]
    return counted + [Chip(thing.text or thing.label, n in alone) for n, thing in enumerate(found) if thing.box is None or thing.text]
