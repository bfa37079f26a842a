"""The network on a CPU: 16-bit floats where the processor computes in them, channels last, layers fused, the graph frozen.

What each step brings is measured by `tests/benchmarks/bench_forward.py`; a step that a machine can't take is left out, never an error.
"""

import copy
import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from local_model.detector import Detector
from local_model.fused import fuse
from local_model.preprocess import Pixels

_ALIKE = {torch.float32: 1e-3, torch.bfloat16: 2e-2}
"""How much, of the largest output, a frozen graph may differ from its network: the order of sums, where they are rounded, nothing else."""

log = logging.getLogger(__name__)


class CpuPass:
    """Squares in, raw output out; in any thread."""

    def __init__(self, detector: Detector) -> None:
        self._mean, self._scale = (each.repeat(detector.side) for each in (detector.mean, 1 / detector.std))  # (3 side,): of a row
        self._dtype = torch.bfloat16 if detector.half and computes_in_bfloat16() else torch.float32
        self._network: Callable[[Tensor], Tensor] = (
            _frozen(detector.network, self._dtype, detector.side) if detector.half else detector.network
        )
        self._side = detector.side

    @torch.inference_mode()
    def __call__(self, squares: Sequence[Pixels]) -> Tensor:
        """The raw output of one batch."""
        return self._network(self._normal(squares))

    def ready(self, raw: Tensor) -> Tensor:
        """The same: what a CPU gives is there."""
        return raw

    def _normal(self, squares: Sequence[Pixels]) -> Tensor:
        """Row by row, not pixel by pixel: a kernel over three numbers is all overhead."""
        batch = torch.empty(len(squares), self._side, 3 * self._side, dtype=self._dtype)
        for place, pixels in zip(batch, squares, strict=True):
            place.copy_(torch.from_numpy(pixels).view(self._side, -1).float().sub_(self._mean).mul_(self._scale))
        return batch.view(-1, self._side, self._side, 3).permute(0, 3, 1, 2)  # (B, 3, side, side), channels last in memory


def computes_in_bfloat16() -> bool:
    """Whether the processor has instructions for 16-bit floats; without them they are slower than 32 bits."""
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def _cast(network: nn.Module, dtype: torch.dtype) -> nn.Module:
    return copy.deepcopy(network).to(dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _frozen(network: nn.Module, dtype: torch.dtype, side: int) -> Callable[[Tensor], Tensor]:
    """The network as one graph with its weights in it: no Python between its kernels, so other threads don't hold it up."""
    network = _cast(network, dtype)
    example = torch.linspace(-2, 2, 2 * 3 * side * side).view(2, 3, side, side).to(dtype).to(memory_format=torch.channels_last)
    with torch.no_grad():
        expected = network(example)
        for make in (_fused, _traced):
            try:
                graph = torch.jit.freeze(make(network, example[:1]))
                for _ in range(3):  # its profiler looks at the first two passes
                    found = graph(example)
            except (RuntimeError, AttributeError) as error:  # no such kernels
                log.warning("model.not_frozen", extra={"by": make.__name__, "reason": str(error)[:300]})
                continue
            if (found - expected).abs().max() <= _ALIKE[dtype] * expected.abs().max():
                return graph  # type: ignore[no-any-return]
            log.warning("model.not_frozen", extra={"by": make.__name__, "reason": "the graph answers otherwise than the network"})
    return network


def _fused(network: nn.Module, _example: Tensor) -> Any:
    network = copy.deepcopy(network)
    fuse(network)
    return torch.jit.script(network).eval()


def _traced(network: nn.Module, example: Tensor) -> Any:
    return torch.jit.trace(network, example, check_trace=False)  # type: ignore[no-untyped-call]
