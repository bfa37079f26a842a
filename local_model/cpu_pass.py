"""The network on a CPU: 16-bit floats where the processor computes in them, channels last, the graph frozen for oneDNN's kernels.

What each step brings is measured by `tests/benchmarks/bench_forward.py`; a step that a machine can't take is left out, never an error.
"""

import copy
import logging
import threading
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from local_model.detector import Detector
from local_model.preprocess import Pixels

_TRACES_ALIKE = 1e-3
"""How much, of the largest output, a frozen graph may differ from its network: the order of sums, and nothing else."""

log = logging.getLogger(__name__)


class CpuPass:
    """Squares in, raw output out; in any thread."""

    def __init__(self, detector: Detector) -> None:
        self._mean, self._scale = detector.mean, 1 / detector.std
        self._dtype = torch.bfloat16 if detector.half and computes_in_bfloat16() else torch.float32
        self._network: Callable[[Tensor], Tensor] = (
            _frozen(detector.network, self._dtype, detector.side) if detector.half else detector.network
        )
        self._side = detector.side
        self._plain = detector.network

    @torch.inference_mode()
    def __call__(self, squares: Sequence[Pixels]) -> Tensor:
        """The raw output of one batch."""
        return self._network(self._normal(torch.from_numpy(np.stack(squares))))

    def ready(self, raw: Tensor) -> Tensor:
        """The same: what a CPU gives is there."""
        return raw

    def compile(self, images_max: int) -> threading.Thread:
        """Have torch compile the network in a thread of its own, and take its kernels once they are there.

        Until then, and where no C++ compiler is found, the frozen graph answers.
        """
        thread = threading.Thread(target=self._compile, args=(images_max,), name="compile", daemon=True)
        thread.start()
        return thread

    def _normal(self, pixels: Tensor) -> Tensor:
        normal = (pixels - self._mean).mul_(self._scale)  # (B, side, side, 3)
        return normal.to(self._dtype).permute(0, 3, 1, 2)  # (B, 3, side, side), channels last in memory

    def _compile(self, images_max: int) -> None:
        try:
            import torch._inductor.config as inductor  # noqa: PLC0415 -- takes a second

            network = _cast(self._plain, self._dtype)
            by_size: dict[int, Callable[[Tensor], Tensor]] = {}
            with inductor.patch(freezing=True), torch.no_grad():
                for images in {1, images_max}:
                    one = torch.compile(network, dynamic=False)
                    example = self._normal(torch.zeros(images, self._side, self._side, 3, dtype=torch.uint8))
                    one(example)
                    by_size[images] = one
        except Exception as error:  # noqa: BLE001 -- a missing compiler is told in many ways
            log.warning("model.not_compiled", extra={"reason": str(error)[:300]})
            return
        frozen = self._network

        def network_of(batch: Tensor) -> Tensor:
            return by_size.get(len(batch), frozen)(batch)

        self._network = network_of
        log.info("model.compiled", extra={"batches": sorted(by_size)})


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
    try:
        with torch.inference_mode():
            graph = torch.jit.freeze(torch.jit.trace(network, example[:1], check_trace=False))  # type: ignore[no-untyped-call]
            expected = network(example)
            for _ in range(3):  # its profiler looks at the first two passes
                found = graph(example)
        if (found - expected).abs().max() <= _TRACES_ALIKE * expected.abs().max():
            return graph  # type: ignore[no-any-return]
        log.warning("model.not_frozen", extra={"reason": "the graph answers otherwise than the network"})
    except RuntimeError as error:
        log.warning("model.not_frozen", extra={"reason": str(error)[:300]})
    return network
