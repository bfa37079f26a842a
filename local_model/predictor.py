"""Pictures in, boxes out."""

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from local_model import detector
from local_model.boxes import Candidates, non_maximum_suppression
from local_model.preprocess import Pixels, Square, letterbox

SCORE_MIN = 0.05
"""Low, so that one answer serves every threshold above it."""

BOXES_MAX = 300
"""Of one picture, best first."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model sees in one picture, best first.

    Attributes:
        boxes: (K, 4) float32: x_min, y_min, x_max, y_max as fractions of the picture, in [0, 1]; none is empty.
        confidences: (K,) float32 in (0.05, 1].
        labels: K names.
        model: what answered, with its version.
        machine_us: microseconds that the model worked for this picture alone: its share of its batch; None outside a batch.
    """

    boxes: NDArray[np.float32]
    confidences: NDArray[np.float32]
    labels: tuple[str, ...]
    model: str
    machine_us: int | None = None


class Predictor:
    """A detector on a device. `predict` is all of it; `prepare`, `forward` and `finish` are its steps, for those who batch.

    `prepare` and `finish` may run in any thread. `forward` is for one thread at a time.
    """

    def __init__(self, chosen: detector.Detector, device: torch.device) -> None:
        self._detector = chosen
        self._device = device
        self.model = chosen.model
        self.name, self.version = chosen.name, chosen.version

    @classmethod
    def load(cls, device: str | None = None, weights: Path | None = None) -> "Predictor":
        """The built-in detector, or the one that the TOML file `weights` describes; on CUDA where there is one.

        Raises:
            detector.BadDetector: the weights are missing, damaged or not described fully.
        """
        chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        if chosen.type == "cpu":
            torch.set_num_threads(cores())
        return cls(detector.load(weights, chosen), chosen)

    def predict(self, pictures: Sequence[NDArray[Any]]) -> list[Prediction]:
        """One prediction a picture, in their order.

        Args:
            pictures: each (height, width, 3) uint8, upright RGB; any sizes.

        Raises:
            BadPicture: another type or shape.
        """
        squares = [self.prepare(picture) for picture in pictures]
        found = self.forward([square.pixels for square in squares]) if squares else []
        return [self.finish(candidates, square) for candidates, square in zip(found, squares, strict=True)]

    def warm(self) -> None:
        """One pass over an empty picture: the first one allocates and chooses kernels, and takes longer."""
        self.predict([np.zeros((self._detector.side, self._detector.side, 3), np.uint8)])

    def prepare(self, picture: NDArray[Any]) -> Square:
        """Letterbox. No torch in it, so that many threads may do it beside the forward pass."""
        return letterbox(picture, self._detector.side, bgr=self._detector.bgr)

    @torch.inference_mode()
    def forward(self, squares: Sequence[Pixels]) -> list[Candidates]:
        """The network over one batch."""
        batch = torch.from_numpy(np.stack(squares)).to(self._device)  # (B, side, side, 3) uint8
        normal = (batch.float() - self._detector.mean) / self._detector.std
        with self._precision():
            raw = self._detector.network(normal.permute(0, 3, 1, 2))  # (B, 3, side, side), channels last in memory
        return self._detector.candidates(raw, SCORE_MIN)

    @torch.inference_mode()
    def finish(self, found: Candidates, square: Square, machine_us: int | None = None) -> Prediction:
        """Suppress what overlaps, and give back the picture's own measure."""
        boxes = found.boxes / torch.tensor([square.width, square.height, square.width, square.height])
        inside = found._replace(boxes=boxes.clamp(0, 1))
        real = (inside.boxes[:, 2:] > inside.boxes[:, :2]).all(1)  # the network may see things beside the picture
        inside = Candidates(*(tensor[real] for tensor in inside))
        kept = non_maximum_suppression(inside, self._detector.iou_max)[:BOXES_MAX]
        labels = tuple(self._detector.labels[number] for number in inside.classes[kept].tolist())
        return Prediction(inside.boxes[kept].numpy(), inside.scores[kept].numpy(), labels, self.model, machine_us)

    def _precision(self) -> AbstractContextManager[object]:
        if self._device.type != "cuda":
            return nullcontext()
        return torch.autocast("cuda", torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1  # Linux, or elsewhere
