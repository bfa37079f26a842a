"""From the network's raw output to boxes: decoding, overlap, and non-maximum suppression."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from local_model.network import BINS, CLASSES, STRIDES

CANDIDATES_MAX = 500
"""A picture's best candidates that suppression looks at. NanoDet's nms_pre is 1000 (https://github.com/RangiLyu/nanodet); on 128 COCO
photographs 500 give the same AP to 0.0001 in a third of the time."""


class Candidates(NamedTuple):
    """Boxes of one picture before suppression.

    Attributes:
        boxes: (M, 4) float32, x_min y_min x_max y_max in pixels of the square input.
        scores: (M,) float32 in [0, 1].
        classes: (M,) int64.
    """

    boxes: Tensor
    scores: Tensor
    classes: Tensor


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
    """Every class of every cell whose score is above `score_min`, with its box.

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
    bins = raw[picture, cell, CLASSES:].float().view(-1, 4, BINS)  # (M, 4, 11)
    steps = torch.arange(BINS, dtype=torch.float32, device=raw.device)
    sides = bins.softmax(2) @ steps * grid[cell, 2:]  # (M, 4): left, top, right, bottom in pixels
    x, y = grid[cell, 0], grid[cell, 1]
    boxes = torch.stack([x - sides[:, 0], y - sides[:, 1], x + sides[:, 2], y + sides[:, 3]], 1)  # (M, 4)
    return by_picture(len(raw), picture, Candidates(boxes, scores, category))


def by_picture(pictures: int, picture: Tensor, found: Candidates) -> list[Candidates]:
    """Candidates of a batch, sorted by their picture's number, as one entry a picture, on the CPU."""
    counts = torch.bincount(picture.cpu(), minlength=pictures).tolist()
    parts = (torch.split(tensor.cpu(), counts) for tensor in found)
    return [Candidates(*part) for part in zip(*parts, strict=True)]


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of every box of `a` with every box of `b`: (N, 4), (M, 4) -> (N, M) in [0, 1].

    Empty boxes overlap nothing.
    """
    width = torch.minimum(a[:, None, 2], b[None, :, 2]) - torch.maximum(a[:, None, 0], b[None, :, 0])  # (N, M)
    height = torch.minimum(a[:, None, 3], b[None, :, 3]) - torch.maximum(a[:, None, 1], b[None, :, 1])  # (N, M)
    intersection = width.clamp(min=0) * height.clamp(min=0)
    area_a, area_b = ((boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(1) for boxes in (a, b))
    union = area_a[:, None] + area_b[None, :] - intersection
    return torch.where(union > 0, intersection / union, 0.0)


def non_maximum_suppression(found: Candidates, iou_max: float) -> Tensor:
    """Of boxes of one class that overlap by more than `iou_max`, keep the best one.

    Greedy, best score first; of equal scores the earlier first. The loop finds the greedy answer exactly: after n rounds the first n
    boxes are decided for good, and mostly a few rounds decide all.

    Returns: (K,) int64 indices into `found`, best score first; of more than `CANDIDATES_MAX` candidates only the best are looked at.
    Source: https://arxiv.org/abs/1311.2524, section 2.2 (greedy, per class)
    """
    order = found.scores.sort(descending=True, stable=True).indices[:CANDIDATES_MAX]
    boxes, classes = found.boxes[order], found.classes[order]
    rivals = (iou(boxes, boxes) > iou_max) & (classes[:, None] == classes[None, :])  # (K, K)
    rivals = rivals.triu(1)  # only a better box suppresses
    keep = torch.ones(len(order), dtype=torch.bool)
    while True:
        decided = ~(rivals & keep[:, None]).any(0)
        if torch.equal(decided, keep):
            return order[keep]
        keep = decided
