"""From any picture to the square that the network looks at. Pillow and NumPy only: this runs in the threads of the callers."""

from typing import Any, NamedTuple

import numpy as np
import PIL.Image
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""(height, width, 3)."""


class BadPicture(ValueError):
    """Not a picture: the sentence says what came instead of (height, width, 3) uint8."""


class Square(NamedTuple):
    """A letterboxed picture.

    Attributes:
        pixels: (side, side, 3), the picture at the top left, zeros elsewhere.
        width, height: of the picture inside the square, in pixels.
    """

    pixels: Pixels
    width: int
    height: int


def letterbox(picture: NDArray[Any], side: int, *, bgr: bool = True) -> Square:
    """Scale a picture, keeping its shape, so that its longer side is `side`; put it at the top left.

    Args:
        picture: (height, width, 3) uint8, upright RGB.
        side: of the square, in pixels.
        bgr: turn the channels around.

    Raises:
        BadPicture: another type or shape, or no pixels.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
        raise BadPicture(f"A picture is (height, width, 3) uint8; this is {picture.shape} {picture.dtype}.")
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    inner_width, inner_height = max(round(width * scale), 1), max(round(height * scale), 1)
    resized = PIL.Image.fromarray(picture).resize((inner_width, inner_height), PIL.Image.Resampling.BILINEAR)
    square = np.zeros((side, side, 3), np.uint8)
    square[:inner_height, :inner_width] = np.asarray(resized)[..., :: -1 if bgr else 1]
    return Square(square, inner_width, inner_height)
