"""From any picture to the square that the network looks at, in threads beside the network."""

import io
from typing import Any, NamedTuple

import numpy as np
import PIL.Image
import PIL.ImageOps
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""(height, width, 3)."""


PIXELS_MAX = 75_000_000
FORMATS = ("JPEG", "PNG", "WEBP")
_SIDE_ENOUGH = 832
"""A JPEG that is larger is decoded at a half, a quarter or an eighth of its size: twice the network's input, and so no less to see."""


class BadPicture(ValueError):
    """Not a picture: the sentence says what came instead of (height, width, 3) uint8."""


def decoded(content: bytes | memoryview, *, bgr: bool = False) -> Pixels:
    """An encoded picture, upright.

    Args:
        content: the file.
        bgr: channels are blue, green, red; else red, green, blue.

    Raises:
        BadPicture: not one of `FORMATS`, damaged, or more than 75 million pixels.
        MemoryError: there is no room for it now.
    """
    try:
        with PIL.Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            if picture.width * picture.height <= PIXELS_MAX:
                share = _SIDE_ENOUGH / max(picture.size)
                picture.draft("RGB", (int(picture.width * share), int(picture.height * share)))
                PIL.ImageOps.exif_transpose(picture, in_place=True)
                return _pixels(picture if picture.mode == "RGB" else picture.convert("RGB"), "BGR" if bgr else "RGB")
    except MemoryError:
        raise
    except Exception as error:  # decoders raise nearly everything
        raise BadPicture(f"The picture can't be decoded: {error}.") from error
    raise BadPicture(f"The picture is {picture.width} x {picture.height} pixels; at most {PIXELS_MAX} in all are taken.")


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
    square = np.zeros((side, side, 3), np.uint8)
    square[:inner_height, :inner_width] = _resized(picture, inner_height, inner_width)[..., :: -1 if bgr else 1]
    return Square(square, inner_width, inner_height)


def _pixels(picture: PIL.Image.Image, channels: str) -> Pixels:
    packed = bytearray(picture.tobytes("raw", channels))  # of its own: torch takes nothing that may not be written to
    return np.frombuffer(packed, np.uint8).reshape(picture.height, picture.width, 3)


def _resized(picture: Pixels, height: int, width: int) -> Pixels:
    """Pillow's bilinear filter by torch, whose kernel takes a third of the time."""
    import torch  # noqa: PLC0415 -- who only names the types here need not wait for it

    with torch.inference_mode():
        whole = torch.from_numpy(np.require(picture, requirements=("C", "W")))
        whole = whole.permute(2, 0, 1)[None]  # (1, 3, H, W), channels last in memory
        scaled = torch.nn.functional.interpolate(whole, (height, width), mode="bilinear", antialias=True)
        return scaled[0].permute(1, 2, 0).numpy()
