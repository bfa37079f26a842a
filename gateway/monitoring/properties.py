"""What is measured of each picture and of each answer, cheaply: on a sample of the decoded pixels."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.monitoring.drift import Observation
from providers.contract import Detection, Feature
from providers.images import Image

_SIDE = 96
"""Pixels a side that are looked at: enough for averages within a hundredth, in a third of a millisecond."""

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # https://www.itu.int/rec/R-REC-BT.601


@dataclass(frozen=True, slots=True)
class Sample:
    """What is looked at of a picture: small enough to wait, where the picture's own pixels may be a hundred megabytes.

    Attributes:
        coarse: pixels from all over it, (about 96 a side, ., 3) uint8.
        fine: pixels of its middle at their own scale, (at most 192, at most 192, 3) uint8.
        width, height: of the whole.
    """

    coarse: NDArray[np.uint8]
    fine: NDArray[np.uint8]
    width: int
    height: int


def sample_of(image: Image) -> Sample:
    """Take it, in some ten microseconds."""
    height, width = image.pixels.shape[:2]
    step = max(1, min(height, width) // _SIDE)
    top, left = max(0, height // 2 - _SIDE), max(0, width // 2 - _SIDE)
    fine = image.pixels[top : top + 2 * _SIDE, left : left + 2 * _SIDE]
    return Sample(image.pixels[::step, ::step].copy(), fine.copy(), image.width, image.height)


def picture_properties(sample: Sample) -> dict[str, float]:
    """Properties of the upright picture.

    `brightness`, `red`, `green`, `blue`: averages in [0, 1]; `contrast`: standard deviation of the brightness; `sharpness`: mean step of
    brightness between neighbouring pixels, over the contrast; `size`, `aspect`: logarithms (base 2) of its pixels and of width over height.
    """
    coarse = sample.coarse.astype(np.float32) / 255
    luma = coarse @ _LUMA
    fine = sample.fine.astype(np.float32) @ _LUMA / 255
    contrast = float(luma.std())
    red, green, blue = (float(average) for average in coarse.mean(axis=(0, 1)))
    steps = float(np.abs(np.diff(fine, axis=1)).mean()) if fine.shape[1] > 1 else 0.0
    return {
        "brightness": float(luma.mean()),
        "contrast": contrast,
        "red": red,
        "green": green,
        "blue": blue,
        "sharpness": steps / (contrast + 0.01),
        "size": float(np.log2(sample.width * sample.height)),
        "aspect": float(np.log2(sample.width / sample.height)),
    }


def observation(digest: str, measured: dict[str, float], feature: Feature, found: Iterable[Detection]) -> Observation:
    """A picture whose properties are measured, with what a provider found on it: how many boxes, and how sure it was on average."""
    mine = [one for one in found if one.feature == feature]
    values = dict(measured)
    if feature not in {"labels", "moderation"}:
        values["boxes"] = float(sum(one.box is not None for one in mine))
    if mine:
        values["confidence"] = float(np.mean([one.confidence for one in mine]))
    return Observation(digest, values, frozenset(one.label for one in mine) if feature != "text" else frozenset())
