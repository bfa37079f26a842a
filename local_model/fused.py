"""A network's layers as oneDNN computes them best: a convolution and its LeakyReLU in one kernel, with weights laid out for it beforehand;
a pool that only compares.

The kernels are those that torch.compile calls; they need no compiler.
"""

from typing import Any, List, Optional, Union  # noqa: UP035 -- TorchScript knows these

import torch
from torch import Tensor, nn

from local_model.network import ConvAct


def fuse(network: nn.Module) -> None:
    """Put those layers in the place of their equals, for inference only. Layers of any other kind stay.

    Raises:
        RuntimeError, AttributeError: this build of torch has no such kernels.
    """
    for name, layer in list(network.named_children()):
        if isinstance(layer, ConvAct):
            setattr(network, name, _ConvLeaky(*layer))
        elif isinstance(layer, nn.MaxPool2d) and (layer.kernel_size, layer.stride, layer.padding) == (3, 2, 1):
            setattr(network, name, _Pool())
        else:
            fuse(layer)


class _ConvLeaky(nn.Module):
    weight: Tensor

    def __init__(self, conv: Any, leaky: Any) -> None:
        super().__init__()
        self.padding, self.stride, self.dilation, self.groups = list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups
        self.slope: float = leaky.negative_slope
        self.bias = conv.bias
        self.weight = torch.ops.mkldnn._reorder_convolution_weight(  # noqa: SLF001
            conv.weight.detach(), self.padding, self.stride, self.dilation, self.groups
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, D, h, w), channels last."""
        scalars: List[Optional[Union[int, float, complex]]] = []  # noqa: UP006, UP007, UP045
        scalars.append(self.slope)
        y: Tensor = torch.ops.mkldnn._convolution_pointwise(  # noqa: SLF001
            x, self.weight, self.bias, self.padding, self.stride, self.dilation, self.groups, "leaky_relu", scalars, ""
        )
        return y


class _Pool(nn.Module):
    """The largest of 3 x 3, every second: first of rows, then of columns. torch's own keeps where each largest was, twice as slow."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H / 2, W / 2), channels last; H and W are even."""
        b, c, h, w = x.shape
        rows = x.permute(0, 2, 3, 1).reshape(b, h // 2, 2, w * c)
        y = torch.maximum(rows[:, :, 0], rows[:, :, 1])
        torch.maximum(y[:, 1:], rows[:, :-1, 1], out=y[:, 1:])
        columns = y.view(b, h // 2, w // 2, 2, c)
        z = torch.maximum(columns[:, :, :, 0], columns[:, :, :, 1])
        torch.maximum(z[:, :, 1:], columns[:, :, :-1, 1], out=z[:, :, 1:])
        return z.permute(0, 3, 1, 2)
