"""The network on CUDA: 16-bit floats, a CUDA graph a batch size, pictures copied from pinned memory on a stream beside the network's.

Written with care and not yet run: no machine that this was made on has a GPU. Whatever a network can't take (a graph that can't be
captured) falls back to the plain pass, with a warning in the log.
"""

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from local_model.detector import Detector
from local_model.preprocess import Pixels

log = logging.getLogger(__name__)


class Launched(NamedTuple):
    """A raw output that the GPU is still computing, and the event after it."""

    raw: Tensor
    done: Any


def bucket_sizes(images_max: int) -> list[int]:
    """Batch sizes with a graph of their own: 1, 2, 4 and so on, and `images_max`. A batch goes by the next one up, padded."""
    sizes = [1 << power for power in range(images_max.bit_length()) if 1 << power < images_max]
    return [*sizes, images_max]


class CudaPass:
    """Squares in, raw output out. One thread launches; another may wait for what was launched."""

    def __init__(self, detector: Detector, device: torch.device, images_max: int) -> None:
        self._detector = detector
        self._device = device
        self._compute: Any = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._copies: Any = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._dtype = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
        self._sizes = bucket_sizes(images_max)
        self._buckets: dict[int, _Bucket] = {}
        torch.backends.cudnn.benchmark = True  # shapes are few and stay
        try:
            pool = None
            for size in reversed(self._sizes):  # the largest first: the others fit into its memory
                bucket = self._buckets[size] = _Bucket(self, size, pool)
                pool = bucket.graph.pool()
        except RuntimeError as error:
            log.warning("model.no_cuda_graphs", extra={"reason": str(error)[:300]})
            self._buckets.clear()

    @torch.inference_mode()
    def __call__(self, squares: Sequence[Pixels]) -> Launched:
        """Launch one batch; it may be still running at return."""
        size = next((size for size in self._sizes if size >= len(squares)), None)
        if size is None or size not in self._buckets:
            return self._plain(squares)
        return self._buckets[size].launch(squares)

    def ready(self, launched: Launched) -> Tensor:
        """Wait until the GPU has computed it."""
        launched.done.synchronize()
        return launched.raw

    def network(self, pixels: Tensor) -> Tensor:
        """(B, side, side, 3) uint8 on the device -> the raw output there."""
        normal = (pixels.float() - self._detector.mean) / self._detector.std
        with torch.autocast("cuda", self._dtype, enabled=self._detector.half, cache_enabled=False):
            raw: Tensor = self._detector.network(normal.permute(0, 3, 1, 2))  # channels last in memory
        return raw

    def _plain(self, squares: Sequence[Pixels]) -> Launched:
        with torch.cuda.stream(self._compute):
            pixels = torch.from_numpy(np.stack(squares)).pin_memory().to(self._device, non_blocking=True)
            raw = self.network(pixels)
            return Launched(raw, self._compute.record_event())


class _Bucket:
    """One batch size: its graph, its input and output on the device, and two pinned buffers that are filled in turn."""

    def __init__(self, whole: CudaPass, size: int, pool: Any) -> None:
        side = whole._detector.side  # noqa: SLF001 -- a part of the pass
        self._whole = whole
        self._pinned = [torch.zeros(size, side, side, 3, dtype=torch.uint8).pin_memory() for _ in range(2)]
        self._copied: list[Any] = [torch.cuda.Event(), torch.cuda.Event()]  # type: ignore[no-untyped-call]
        self._turn = 0
        self._input = torch.zeros(size, side, side, 3, dtype=torch.uint8, device=whole._device)  # noqa: SLF001
        self._read: Any = torch.cuda.Event()  # type: ignore[no-untyped-call]
        compute = whole._compute  # noqa: SLF001
        self.graph = torch.cuda.CUDAGraph()
        with torch.inference_mode(), torch.cuda.stream(compute):
            compute.wait_stream(torch.cuda.default_stream(whole._device))  # noqa: SLF001 -- the weights came on that one
            for _ in range(3):  # kernels are chosen before the capture
                whole.network(self._input)
            compute.synchronize()
            with torch.cuda.graph(self.graph, pool=pool, stream=compute):
                self._output = whole.network(self._input)

    def launch(self, squares: Sequence[Pixels]) -> Launched:
        """Copy on the side stream, replay on the network's, and copy the output out of the graph's memory before the next replay."""
        compute, copies = self._whole._compute, self._whole._copies  # noqa: SLF001
        turn, self._turn = self._turn, 1 - self._turn
        self._copied[turn].synchronize()  # the copy before last has read this buffer
        np.stack(squares, out=self._pinned[turn].numpy()[: len(squares)])
        with torch.cuda.stream(copies):
            copies.wait_event(self._read)  # the last replay has read the input
            self._input.copy_(self._pinned[turn], non_blocking=True)
            self._copied[turn].record(copies)
        with torch.cuda.stream(compute):
            compute.wait_event(self._copied[turn])
            self.graph.replay()
            self._read.record(compute)
            raw = self._output[: len(squares)].clone()
            return Launched(raw, compute.record_event())
