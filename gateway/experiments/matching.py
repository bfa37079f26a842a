"""Which thing of one answer is which of another: one to one, of one label, the best of all ways."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from providers.contract import BoundingBox, Detection

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Match:
    """The `found`-th box of one answer is the `known`-th of the other; `iou` is how well they overlap, in (0, 1]."""

    found: int
    known: int
    iou: float


def match_things(found: Sequence[Detection], known: Sequence[Detection], iou_min: float) -> list[Match]:
    """As many pairs of things of one label as there can be, and of all such pairings the one whose boxes overlap best.

    What overlaps less than `iou_min`, in (0, 1], is two things. All have boxes. Labels don't touch each other, so that the best for all
    together is the best for each.

    Source: H. W. Kuhn, The Hungarian method for the assignment problem, 1955; scipy has R. Jonker's and A. Volgenant's algorithm.
    """
    if not found or not known:
        return []
    mine, theirs = (np.array([one.label for one in side]) for side in (found, known))
    alike = overlaps([one.box for one in found if one.box], [one.box for one in known if one.box])
    return match_pairs(np.where(mine[:, None] == theirs[None], alike, 0.0), iou_min)


def match_pairs(likeness: Floats, least: float) -> list[Match]:
    """The same for any likeness in [0, 1]: (found, known) -> pairs that are at least `least` alike."""
    if likeness.size == 0:
        return []
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415 -- slow to import, and requests have no need of it

    fits = likeness >= least
    # One more pair outweighs all that likeness could bring: each of at most n pairs is worth n + 1, and likeness at most 1.
    worth = np.where(fits, min(likeness.shape) + 1.0 + likeness, 0.0)
    rows, columns = linear_sum_assignment(worth, maximize=True)
    return [Match(int(i), int(j), float(likeness[i, j])) for i, j in zip(rows, columns, strict=True) if fits[i, j]]


def overlaps(found: Sequence[BoundingBox], known: Sequence[BoundingBox]) -> Floats:
    """(found, known) intersection over union, in [0, 1]. Two boxes without area overlap only if they are one."""
    shared, mine, other = _areas(found, known)
    union = mine + other - shared
    same = np.all(_corners(found)[:, None] == _corners(known)[None], axis=2)
    return np.where(same, 1.0, np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def covered(box: BoundingBox, regions: Sequence[BoundingBox]) -> float:
    """The largest share of a box that lies in one of the regions, in [0, 1]."""
    shared, mine, _ = _areas([box], regions)
    return float(shared.max() / mine.flat[0]) if mine.flat[0] > 0 else 0.0


def _areas(found: Sequence[BoundingBox], known: Sequence[BoundingBox]) -> tuple[Floats, Floats, Floats]:
    """(found, known) the area of each intersection, of each `found` and of each `known`."""
    a, b = _corners(found)[:, None], _corners(known)[None]
    sides = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None)
    shared = sides.prod(axis=2)
    mine, other = ((corners[..., 2:] - corners[..., :2]).prod(axis=2) for corners in (a, b))
    return shared, np.broadcast_to(mine, shared.shape), np.broadcast_to(other, shared.shape)


def _corners(boxes: Sequence[BoundingBox]) -> Floats:
    """(n, 4) x_min, y_min, x_max, y_max."""
    return np.array([(box.x_min, box.y_min, box.x_max, box.y_max) for box in boxes], dtype=np.float64).reshape(-1, 4)
