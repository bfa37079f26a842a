"""Boxes of several providers around the same thing become one: weighted boxes fusion.

Source: https://arxiv.org/abs/1910.13302
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

IOU_MIN = 0.55  # the paper's best threshold
SHOWN_FROM = 0.5  # a client sees what is at least so sure unless it says otherwise
IOU_RIGHT = 0.5  # PASCAL's and COCO's: a box that overlaps a true one by half is right

Corners = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A box with its label.

    Attributes:
        corners: x_min, y_min, x_max, y_max as fractions of the picture.
        confidence: the provider's own; None where it tells none, and in a truth.
    """

    label: str
    corners: Corners
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Vote:
    """One provider's box.

    Attributes:
        provider: who drew it.
        label: canonical name.
        chance: calibrated probability that it is right, in [0, 1]; never a provider's raw confidence.
        corners: x_min, y_min, x_max, y_max as fractions of the picture.
        confidence: the provider's own, or None.
    """

    provider: str
    label: str
    chance: float
    corners: Corners
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Fused:
    """One thing: the mean box of its votes, weighted by their chance; right unless all of its providers are wrong."""

    label: str
    chance: float
    corners: Corners
    votes: tuple[Vote, ...]


def fuse(votes: Iterable[Vote]) -> tuple[Fused, ...]:
    """Votes of one label that overlap become one box, surest first. A provider has one vote on a thing."""
    by_label: dict[str, list[Fused]] = {}
    for vote in sorted(votes, key=lambda v: (-v.chance, v.provider, v.label, v.corners)):
        fused = by_label.setdefault(vote.label, [])
        nearest, place = IOU_MIN, None
        for k, thing in enumerate(fused):
            if vote.provider not in [v.provider for v in thing.votes] and (near := overlap(thing.corners, vote.corners)) > nearest:
                nearest, place = near, k
        if place is None:
            fused.append(Fused(vote.label, vote.chance, vote.corners, (vote,)))
        else:
            fused[place] = _mean((*fused[place].votes, vote))
    return tuple(sorted((f for fused in by_label.values() for f in fused), key=lambda f: (-f.chance, f.label, f.corners)))


def _mean(votes: tuple[Vote, ...]) -> Fused:
    weights = [max(vote.chance, 1e-9) for vote in votes]
    total = sum(weights)
    left, top, right, bottom = (sum(w * v.corners[k] for w, v in zip(weights, votes, strict=True)) / total for k in range(4))
    wrong = 1.0
    for vote in votes:
        wrong *= 1.0 - vote.chance
    return Fused(votes[0].label, 1.0 - wrong, (left, top, right, bottom), votes)


def overlap(a: Corners, b: Corners) -> float:
    """Intersection over union, in [0, 1]; 0 for boxes without an area."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0.0 or height <= 0.0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def stake(things: float, usual: float) -> float:
    """How much is at stake in a picture with so many things, 1 with as many as `usual`: to find that there is none counts too."""
    return (1.0 + things) / (1.0 + usual)


def matched(found: Sequence[Drawn], true: Sequence[Drawn]) -> list[bool]:
    """Whether each box is right: in the order given, each takes the true box of its label that it overlaps most, by half at least."""
    free = list(true)
    right = []
    for box in found:
        best = max((t for t in free if t.label == box.label), key=lambda t: overlap(t.corners, box.corners), default=None)
        hit = best is not None and overlap(best.corners, box.corners) >= IOU_RIGHT
        right.append(hit)
        if best is not None and hit:
            free.remove(best)
    return right


def f1(found: Sequence[Drawn], true: Sequence[Drawn]) -> float:
    """Twice the right boxes over all boxes, in [0, 1]; 1 where there is nothing and nothing was found."""
    if not found and not true:
        return 1.0
    surest_first = sorted(found, key=lambda box: -(box.confidence or 0.0))
    return 2.0 * sum(matched(surest_first, true)) / (len(found) + len(true))
