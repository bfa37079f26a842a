"""Pictures in, boxes out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from local_model import detector
from local_model.boxes import Candidates, non_maximum_suppression
from local_model.cores import lanes_for
from local_model.cpu_pass import CpuPass
from local_model.cuda_pass import CudaPass
from local_model.prediction import Prediction
from local_model.preprocess import Square, decoded, letterbox

SCORE_MIN = 0.05
"""Low, so that one answer serves every threshold above it."""

BOXES_MAX = 300
"""Of one picture, best first."""


class Predictor:
    """A detector on a device. `predict` is all of it; `prepare`, `forward`, `parted` and `finish` are its steps, for those who batch.

    `forward` is for as many threads as there are lanes, the other steps are for any.

    Attributes:
        images_max: pictures in a batch that this device computes well.
        lanes: batches that it computes side by side.
        ahead: whether cores are free to prepare pictures on while it computes.
        elsewhere: whether it computes in other processes. It does not.
    """

    def __init__(self, chosen: detector.Detector, device: torch.device, lanes: int = 1) -> None:
        self._detector = chosen
        self._device = device
        self.model = chosen.model
        self.name, self.version = chosen.name, chosen.version
        self.lanes = lanes
        self.images_max = 32 if device.type == "cuda" else 8
        self.ahead, self.elsewhere = device.type == "cuda", False
        self._pass: CpuPass | CudaPass = CudaPass(chosen, device, self.images_max) if device.type == "cuda" else CpuPass(chosen)

    @classmethod
    def load(cls, device: str | None = None, weights: Path | None = None, processes: int = 1) -> "Predictor":
        """The built-in detector, or the one that the TOML file `weights` describes; on CUDA where there is one.

        Args:
            device: as torch names it.
            weights: of another detector.
            processes: that run a network on the same cores.

        Raises:
            detector.BadDetector: the weights are missing, damaged or not described fully.
        """
        chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.set_num_threads(1)  # of each of ours
        if chosen.type != "cpu":
            return cls(detector.load(weights, chosen), chosen)
        return cls(detector.load(weights, chosen), chosen, lanes_for(processes))

    def predict(self, pictures: Sequence[NDArray[Any] | bytes]) -> list[Prediction]:
        """One prediction a picture, in their order.

        Args:
            pictures: each (height, width, 3) uint8, upright RGB, or encoded; any sizes.

        Raises:
            BadPicture: another type or shape.
        """
        squares = [self.prepare(picture) for picture in pictures]
        found = self.parted(self.forward(squares)) if squares else []
        return [self.finish(candidates, square) for candidates, square in zip(found, squares, strict=True)]

    def warm(self) -> None:
        """Passes over empty pictures, alone and in a full batch: the first ones allocate and choose kernels, and take longer."""
        empty = np.zeros((self._detector.side, self._detector.side, 3), np.uint8)
        for images in (1, self.images_max, 1):
            self.predict([empty] * images)

    def prepare(self, picture: NDArray[Any] | bytes | memoryview) -> Square:
        """Decode what is encoded, and letterbox."""
        side, bgr = self._detector.side, self._detector.bgr
        if isinstance(picture, np.ndarray):
            return letterbox(picture, side, bgr=bgr)
        return letterbox(decoded(picture, bgr=bgr), side, bgr=False)

    def forward(self, squares: Sequence[Square]) -> Any:
        """The network over one batch: its raw output, or on CUDA the promise of it, for `parted`."""
        return self._pass([square.pixels for square in squares])

    @torch.inference_mode()
    def parted(self, raw: Any) -> list[Candidates]:
        """What stands in a raw output, one entry a picture."""
        return self._detector.candidates(self._pass.ready(raw), SCORE_MIN)

    def finish(self, found: Candidates, square: Square, machine_us: int | None = None) -> Prediction:
        """Suppress what overlaps, and give back the picture's own measure."""
        measure = np.array([square.width, square.height, square.width, square.height], np.float32)
        boxes: NDArray[np.float32] = (found.boxes / measure).clip(0, 1)
        real = (boxes[:, 2:] > boxes[:, :2]).all(1)  # the network may see things beside the picture
        inside = Candidates(boxes[real], found.scores[real], found.classes[real])
        kept = non_maximum_suppression(inside, self._detector.iou_max)[:BOXES_MAX]
        labels = tuple(self._detector.labels[number] for number in inside.classes[kept].tolist())
        return Prediction(inside.boxes[kept], inside.scores[kept], labels, self.model, machine_us)

    def ran_out_of_memory(self, error: Exception) -> bool:
        """Whether it did; then what the device keeps for later is given back."""
        if not isinstance(error, torch.OutOfMemoryError | MemoryError) and "can't allocate memory" not in str(error):
            return False
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        return True

    def gpu_memory_bytes(self) -> int:
        """What this process holds of the GPU's memory; 0 on a CPU."""
        return torch.cuda.memory_reserved(self._device) if self._device.type == "cuda" else 0

    def close(self) -> None:
        """Nothing of it outlives it."""
