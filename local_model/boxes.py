"""From the network's raw output to boxes: decoding, overlap, and non-maximum suppression.

Decoding is torch, where the network is. What is left of a picture then is some hundred boxes: NumPy, which starts no threads for them
and took a quarter of torch's time.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from local_model.network import BINS, CLASSES, STRIDES

CANDIDATES_MAX = 300
"""A picture's best candidates that suppression looks at. NanoDet's nms_pre is 1000 (https://github.com/RangiLyu/nanodet); on 128 COCO
photographs 300 give the same AP to 0.0003, and 200 cost 0.003."""


class Candidates(NamedTuple):
    """Boxes of one picture before suppression.

    Attributes:
        boxes: (M, 4) float32, x_min y_min x_max y_max in pixels of the square input.
        scores: (M,) float32 in [0, 1].
        classes: (M,) int64.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]


def cells(side: int, device: torch.device | None = None) -> Tensor:
    """The centre and stride of every cell of the three grids, in the order of the network's output.

    Returns: (N, 3) float32: x, y, stride in pixels.
    """
    grids = []
    for stride in STRIDES:
        centres = (torch.arange(side // stride, device=device) + 0.5) * stride
        y, x = torch.meshgrid(centres, centres, indexing="ij")
        grids.append(torch.stack([x.flatten(), y.flatten(), torch.full_like(x, stride).flatten()], 1))
    return torch.cat(grids)


def decode(raw: Tensor, grid: Tensor, score_min: float) -> list[Candidates]:
    """Of each picture the best `CANDIDATES_MAX` classes of cells whose score is above `score_min`, with their boxes.

    Only those cells' distributions are worked out: a picture has 3549, and some dozen matter.

    Args:
        raw: (B, N, 124): class logits and bins, as `network.NanoDet` gives them.
        grid: (N, 3), as `cells` gives them.
        score_min: in (0, 1).

    Source: Generalized Focal Loss, https://arxiv.org/abs/2006.04388, section 3.2 (a side is the expectation of its distribution).
    """
    logits = raw[..., :CLASSES]
    picture, cell, category = (logits > math.log(score_min / (1 - score_min))).nonzero(as_tuple=True)  # each (M,)
    scores = logits[picture, cell, category].float().sigmoid()  # (M,)
    best = _best(picture, scores, len(raw))
    picture, cell, category, scores = picture[best], cell[best], category[best], scores[best]
    bins = raw[picture, cell, CLASSES:].float().view(-1, 4, BINS)  # (M, 4, 11)
    steps = torch.arange(BINS, dtype=torch.float32, device=raw.device)
    sides = bins.softmax(2) @ steps * grid[cell, 2:]  # (M, 4): left, top, right, bottom in pixels
    x, y = grid[cell, 0], grid[cell, 1]
    boxes = torch.stack([x - sides[:, 0], y - sides[:, 1], x + sides[:, 2], y + sides[:, 3]], 1)  # (M, 4)
    return by_picture(len(raw), picture, boxes, scores, category)


def _best(picture: Tensor, scores: Tensor, pictures: int) -> Tensor:
    """Where each picture's best `CANDIDATES_MAX` stand, picture by picture."""
    kept, start = [], 0
    for count in torch.bincount(picture, minlength=pictures).tolist():
        own = scores[start : start + count]
        kept.append(start + (own.topk(CANDIDATES_MAX).indices if count > CANDIDATES_MAX else torch.arange(count, device=scores.device)))
        start += count
    return torch.cat(kept)


def by_picture(pictures: int, picture: Tensor, *found: Tensor) -> list[Candidates]:
    """What was found in a batch, sorted by its picture's number, as one entry a picture, on the CPU.

    Args:
        pictures: in the batch.
        picture: (M,) int64, ascending.
        found: boxes (M, 4), scores (M,) and classes (M,).
    """
    ends = np.bincount(picture.cpu().numpy(), minlength=pictures).cumsum()[:-1]
    boxes, scores, classes = (np.split(tensor.cpu().numpy(), ends) for tensor in found)
    return [Candidates(*parts) for parts in zip(boxes, scores, classes, strict=True)]


def overlapping(boxes: NDArray[np.float32], iou_max: float) -> NDArray[np.bool_]:
    """Which boxes overlap which by more than `iou_max`, as intersection over union: (N, 4) -> (N, N). Empty boxes overlap nothing."""
    left, top, right, bottom = np.ascontiguousarray(boxes.T)
    shared = np.minimum(right[:, None], right)
    shared -= np.maximum(left[:, None], left)
    height = np.minimum(bottom[:, None], bottom)
    height -= np.maximum(top[:, None], top)
    shared.clip(0, out=shared)
    shared *= height.clip(0, out=height)  # (N, N): the intersection
    area = (right - left).clip(0) * (bottom - top).clip(0)
    limit = np.add.outer(area, area)
    limit -= shared  # (N, N): the union
    limit *= np.float32(iou_max)
    return np.asarray(shared > limit)


def non_maximum_suppression(found: Candidates, iou_max: float) -> NDArray[np.int64]:
    """Of boxes of one class that overlap by more than `iou_max`, keep the best one.

    Greedy, best score first; of equal scores the earlier first.

    Returns: (K,) indices into `found`, best score first; of more than `CANDIDATES_MAX` candidates only the best are looked at.
    Source: https://arxiv.org/abs/1311.2524, section 2.2 (greedy, per class)
    """
    order = np.argsort(-found.scores, kind="stable")[:CANDIDATES_MAX]
    classes = found.classes[order]
    rivals = overlapping(found.boxes[order], iou_max) & (classes[:, None] == classes)  # all at once: by class it is many small steps
    return order[_kept(np.triu(rivals, 1))]


def _kept(suppresses: NDArray[Any]) -> NDArray[np.bool_]:
    """The greedy answer, found exactly: after n rounds the first n boxes are decided for good, and mostly a few rounds decide all.

    Args: `suppresses` (N, N): the better box (row) and the worse one (column) that it would suppress, if it is kept itself.
    """
    keep: NDArray[np.bool_] = np.ones(len(suppresses), bool)
    while True:
        decided = np.logical_not(suppresses[keep].any(0))
        if np.array_equal(decided, keep):
            return keep
        keep = decided
