"""What the model answers about one picture. Nothing here imports torch: who only passes it on need not wait for that."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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
