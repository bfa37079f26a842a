"""What each step of the forward pass on a CPU brings, and what it does to AP: `python -m tests.benchmarks.bench_forward [compile]`.

CPU milliseconds a picture on one thread, alone and in a batch of 8; rounds take turns. With `compile` also torch.compile's kernels, which
take minutes to make. AP on ../shared/coco128, where it lies beside the repository. A step stays in `local_model/cpu_pass.py` only if it
pays here with AP unchanged to 0.002.
"""

import copy
import statistics
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import torch
import torch._inductor.config as inductor

from local_model import cpu_pass, detector
from local_model.evaluate import evaluate
from local_model.predictor import Predictor
from tests.benchmarks.bench_local_model import ROOT, say

ROUNDS = 8
COCO = ROOT.parent / "shared" / "coco128"


class Float32(cpu_pass.CpuPass):
    """The pass of a processor without 16-bit floats."""

    def __init__(self, chosen):
        able, cpu_pass.computes_in_bfloat16 = cpu_pass.computes_in_bfloat16, lambda: False
        try:
            super().__init__(chosen)
        finally:
            cpu_pass.computes_in_bfloat16 = able


class Unfrozen:
    """The network as it is written, in these floats and this order of memory."""

    def __init__(self, chosen, dtype, memory_format):
        self._chosen, self._dtype, self._format = chosen, dtype, memory_format
        self._network = copy.deepcopy(chosen.network).to(dtype).to(memory_format=memory_format)

    @torch.inference_mode()
    def __call__(self, squares):
        pixels = (torch.from_numpy(np.stack(squares)) - self._chosen.mean) / self._chosen.std
        return self._network(pixels.permute(0, 3, 1, 2).to(self._dtype).contiguous(memory_format=self._format))

    def ready(self, raw):
        return raw


class Frozen(Unfrozen):
    """The same as one graph, without Python between its kernels."""

    def __init__(self, chosen, dtype, memory_format):
        super().__init__(chosen, dtype, memory_format)
        example = torch.zeros(1, 3, chosen.side, chosen.side, dtype=dtype).to(memory_format=memory_format)
        with torch.inference_mode():
            self._network = torch.jit.freeze(torch.jit.trace(self._network, example, check_trace=False))
            for _ in range(3):  # its profiler looks at the first two passes
                self._network(example)


class Compiled(Unfrozen):
    """The same by the kernels of torch.compile, made for one picture and for eight."""

    def __init__(self, chosen, dtype, memory_format):
        super().__init__(chosen, dtype, memory_format)
        example = torch.zeros(8, 3, chosen.side, chosen.side, dtype=dtype).to(memory_format=memory_format)
        with inductor.patch(freezing=True), torch.no_grad():
            by_size = {images: torch.compile(copy.deepcopy(self._network), dynamic=False) for images in (1, 8)}
            for images, network in by_size.items():
                network(example[:images])
        whole, self._network = self._network, lambda batch: by_size.get(len(batch), whole)(batch)


def passes(chosen):
    yield "float32, channels first", Unfrozen(chosen, torch.float32, torch.contiguous_format)
    yield "float32, channels last", Unfrozen(chosen, torch.float32, torch.channels_last)
    yield "float32, channels last, frozen", Frozen(chosen, torch.float32, torch.channels_last)
    yield "float32, channels last, fused, frozen", Float32(chosen)
    if cpu_pass.computes_in_bfloat16():
        yield "bfloat16, channels last", Unfrozen(chosen, torch.bfloat16, torch.channels_last)
        yield "bfloat16, channels last, frozen", Frozen(chosen, torch.bfloat16, torch.channels_last)
        yield "bfloat16, channels last, fused, frozen (what is served)", cpu_pass.CpuPass(chosen)
    if "compile" in sys.argv:
        yield "bfloat16, channels last, by torch.compile", Compiled(chosen, torch.bfloat16, torch.channels_last)


def cpu_ms(forward, squares, times):
    began = time.process_time()
    for _ in range(times):
        forward(squares)
    return (time.process_time() - began) * 1000 / (times * len(squares))


def average_precision(forward):
    if not COCO.is_dir():
        return float("nan")
    predictor = Predictor.load(device="cpu")
    predictor._pass = forward
    return evaluate(Path(COCO, "images"), Path(COCO, "instances.json"), predictor=predictor, progress=False)["ap"]


def main():
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    chosen = detector.load(None, torch.device("cpu"))
    squares = list(np.random.default_rng(0).integers(0, 256, (8, 416, 416, 3), np.uint8))
    known = dict(passes(chosen))
    rounds = {name: [] for name in known}
    for _ in range(ROUNDS):
        for name, forward in known.items():
            rounds[name].append((cpu_ms(forward, squares[:1], 4), cpu_ms(forward, squares, 1)))
    for name, forward in known.items():
        alone, together = (statistics.median(column) for column in zip(*rounds[name][1:], strict=True))
        say(f"{name:56} {alone:5.1f} ms alone, {together:5.1f} ms in a batch of 8; AP {average_precision(forward):.4f}")


if __name__ == "__main__":
    main()
