"""One colour space: whatever a file stores, as 8-bit RGB in sRGB.

- 16-bit grey is scaled (v / 257, rounded). 16-bit RGB and alpha: Pillow keeps the high byte (v / 256, cut), within one level of that.
- What is transparent lies on white.
- An embedded ICC profile other than sRGB is applied (Display P3 of phones, Adobe RGB, CMYK inks, grey): the same numbers mean other
  colours there, and providers that read profiles would see another picture than those that don't. About 20 ns a pixel. A profile that is
  damaged or of another kind than the pixels is ignored, as browsers do. PNG's gAMA and cHRM are ignored.
"""

import io
from functools import cache, lru_cache

import numpy as np
import PIL.Image
from PIL import ImageCms

_STRIP_PIXELS = 1 << 20
"""Converted at a time: what lies between the stored and the finished picture takes megabytes, however large they are."""

_KEPT_BYTES_MAX = 65_536
"""A larger profile is worked out each time, so that what is kept stays small: those of inks have megabytes, and are rare."""

_SPACES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
"""ICC's name of a colour space to Pillow's (https://www.color.org/specification/ICC.1-2022-05.pdf, table 19)."""


def has_range(picture: PIL.Image.Image) -> bool:
    """Whether it is known which stored number is white: not for 32-bit integers and floating point."""
    return picture.mode not in {"I", "F"}


def is_plain(picture: PIL.Image.Image) -> bool:
    """Whether any decoder sees the same colours in it as `to_srgb`: grey or RGB, opaque, sRGB. No pixel is decoded."""
    return picture.mode in {"L", "RGB"} and not picture.has_transparency_data and _to_srgb_of(picture) is None


def to_srgb(picture: PIL.Image.Image) -> PIL.Image.Image:
    """A decoded picture in mode RGB."""
    transform = _to_srgb_of(picture)
    if picture.mode == "RGB" and transform is None and not picture.has_transparency_data:
        return picture
    srgb = PIL.Image.new("RGB", picture.size)
    rows = max(1, _STRIP_PIXELS // picture.width)
    for top in range(0, picture.height, rows):
        strip = _opaque(picture.crop((0, top, picture.width, min(top + rows, picture.height))))
        if transform is not None and strip.mode == transform.input_mode:
            strip = transform.apply(strip)
        srgb.paste(strip.convert("RGB"), (0, top))
    return srgb


def _opaque(picture: PIL.Image.Image) -> PIL.Image.Image:
    """The same in 8 bits and without transparency: L and CMYK as they are, else RGB."""
    if picture.mode.startswith("I;16"):
        return _grey_of_16_bits(picture)
    if picture.has_transparency_data:
        coloured = picture.convert("RGBA")
        white = PIL.Image.new("RGBA", coloured.size, "white")
        return PIL.Image.alpha_composite(white, coloured).convert("RGB")
    return picture if picture.mode in {"L", "CMYK"} else picture.convert("RGB")


def _grey_of_16_bits(picture: PIL.Image.Image) -> PIL.Image.Image:
    stored = np.asarray(picture).astype(np.uint32)
    grey = ((stored + 128) // 257).astype(np.uint8)  # Pillow would clip: 1000 of 65535 becomes white
    if (transparent := picture.info.get("transparency")) is not None:
        grey[stored == transparent] = 255
    return PIL.Image.fromarray(grey)


def _to_srgb_of(picture: PIL.Image.Image) -> ImageCms.ImageCmsTransform | None:
    """How the picture's own profile is left, or None where there is nothing to do."""
    embedded = picture.info.get("icc_profile")
    if not embedded:
        return None
    return _left(embedded) if len(embedded) <= _KEPT_BYTES_MAX else _left.__wrapped__(embedded)


@lru_cache(32)
def _left(embedded: bytes) -> ImageCms.ImageCmsTransform | None:
    """How a profile is left. A camera's pictures have one and the same, and to work it out takes 2 ms. Threads may share it."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(embedded))
        if "sRGB" in ImageCms.getProfileDescription(profile):
            return None
        space = _SPACES.get(profile.profile.xcolor_space.strip())
        return ImageCms.buildTransform(profile, _srgb(), space, "RGB") if space else None
    except Exception:  # noqa: BLE001 -- a damaged profile is no reason to refuse the picture beside it
        return None


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
