"""Pictures: from the bytes a client sent to upright RGB, and to the bytes that a provider takes.

Everything is decided by the bytes, never by a name or a declared type. Size limits are checked on the header, before a pixel is decoded.
Of several pictures in a file (animations, pages, a phone's multi-picture JPEG) the first counts. What stands after the picture is ignored,
unless it makes the file a page, an archive or a program as well: such a file is refused.
A JPEG without its end marker is refused even where every pixel is there: nothing tells it from one that lost its lower half, which decoders
fill with grey. A PNG is whole when its pixels are.
"""

import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import PIL.Image
import PIL.ImageFile
from numpy.typing import NDArray

from providers.colours import has_range, is_plain, to_srgb
from providers.formats import DEFAULT_FORMATS, KNOWN_FORMATS, format_of, open_picture, webp_size
from providers.gate import PixelGate
from providers.metadata import EOI, SOS, jpeg_parts, png_exif, without_metadata
from providers.once import Once
from providers.polyglots import other_nature

__all__ = [
    "DEFAULT_FORMATS",
    "KNOWN_FORMATS",
    "Image",
    "ImageError",
    "ImageLimits",
    "ImageTooLarge",
    "InvalidImage",
    "Pixels",
    "UnsupportedFormat",
    "read_image",
]

T = TypeVar("T")
Pixels = NDArray[np.uint8]
"""(height, width, 3) upright RGB."""

_WORKING_SIDE = 832
"""Twice the in-house model's input: large JPEGs are decoded scaled down, but never below this."""

_SCANS_MAX = 64
_SCAN_PIXELS_MAX = 1_000_000_000
"""A progressive JPEG has about ten scans. Thousands, or many over many pixels, make a small file take minutes
(https://libjpeg-turbo.org/pmwiki/uploads/About/TwoIssueswiththeJPEGStandard.pdf)."""

_GATE = PixelGate(40_000_000)
"""Decoding takes 8 to 16 bytes a pixel: at most about half a gigabyte at a time, or one larger picture alone."""

_UPRIGHT = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}
"""EXIF orientation to the move that sets the picture upright (EXIF 2.32, tag 0x0112)."""


class ImageError(ValueError):
    """The picture can't be used. The message says why, and what to send instead."""


class InvalidImage(ImageError):
    """Not an image, truncated, damaged or made to harm."""


class ImageTooLarge(ImageError):
    """More bytes, pixels or a longer side than the limits allow."""


class UnsupportedFormat(ImageError):
    """A format we know and do not take."""


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What a picture may be. Checked before a pixel is decoded.

    Attributes:
        content_bytes_max: 20 MiB, as Google takes at most.
        pixels_max: 75 million, as Google takes at most (https://cloud.google.com/vision/quotas).
        side_max: pixels of the longer side.
        formats: of `KNOWN_FORMATS`.
    """

    content_bytes_max: int = 20 * 1024 * 1024
    pixels_max: int = 75_000_000
    side_max: int = 32_768
    formats: frozenset[str] = DEFAULT_FORMATS


@dataclass(frozen=True)
class Image:
    """One picture, shared by threads; its pixels are decoded at most once.

    Attributes:
        content: the bytes as they came.
        format: `jpeg`, `png`, …, by the bytes.
        width, height: of the UPRIGHT picture, in pixels.
        orientation: EXIF's, 1..8; 1 is upright.
        mode: Pillow's name of the stored colours.
        plain: whether they are what `pixels` has: opaque grey or RGB in sRGB.
        reference: where a cloud of its own can read the same bytes: `s3://bucket/key` or `gs://bucket/key`.
    """

    content: bytes = field(repr=False)
    format: str
    width: int
    height: int
    orientation: int
    mode: str
    plain: bool = False
    reference: str | None = None

    @Once
    def digest(self) -> str:
        """SHA-256 of the bytes, in hex."""
        return hashlib.sha256(self.content).hexdigest()

    @Once
    def pixels_digest(self) -> str:
        """SHA-256 of the upright RGB pixels and their shape, in hex: the same for the same picture in another container.

        Raises:
            InvalidImage: truncated or damaged.
        """
        with _upright(self, None) as picture:
            digest = hashlib.sha256(f"{picture.width}x{picture.height}:".encode())
            for top in range(0, picture.height, 256):
                digest.update(picture.crop((0, top, picture.width, min(top + 256, picture.height))).tobytes())
        return digest.hexdigest()

    @Once
    def pixels(self) -> Pixels:
        """Upright RGB, at full size or, of a large picture, scaled down to a longer side of at least 832. Read-only.

        Raises:
            InvalidImage: truncated or damaged.
        """
        with _upright(self, _WORKING_SIDE) as picture:
            return np.asarray(picture)

    def encoded(self, formats: frozenset[str], bytes_max: int, side_max: int) -> bytes:
        """The upright picture as a provider takes it, without EXIF or anything else beside the picture.

        The client's own bytes where they fit, else a JPEG of the best quality and then the largest size that fit. Boxes are fractions,
        so a scaled picture changes none. The same picture and arguments give the same bytes.

        Args:
            formats: that the provider decodes; JPEG must be one.
            bytes_max: of the encoded picture.
            side_max: of the longer side, in pixels.

        Raises:
            InvalidImage: truncated or damaged.
            ImageTooLarge: not even one pixel fits.
        """
        if self.plain and self.orientation == 1 and self.format in formats and max(self.width, self.height) <= side_max:
            bare = without_metadata(self.content, self.format)
            if bare is not None and len(bare) <= bytes_max:
                return bare
        with _upright(self, side_max) as picture:
            return _as_jpeg(picture, bytes_max, side_max)


def read_image(content: bytes, limits: ImageLimits, reference: str | None = None) -> Image:
    """Look at the header and refuse what can't be used. No pixel is decoded here.

    Raises:
        InvalidImage: empty, not an image, damaged header, too many scans.
        ImageTooLarge: over a limit.
        UnsupportedFormat: known, and not taken.
    """
    if not content:
        raise InvalidImage("The image is empty: 0 bytes. Send the whole file.")
    if len(content) > limits.content_bytes_max:
        raise ImageTooLarge(f"The image is {len(content)} bytes; at most {limits.content_bytes_max} are taken.")
    image_format = format_of(content)
    taken = ", ".join(sorted(limits.formats))
    if image_format is None:
        raise InvalidImage(f"These bytes are not an image. Send one of: {taken}.")
    if image_format not in limits.formats:
        raise UnsupportedFormat(f"This is {image_format}, which is not taken here. Send one of: {taken}.")
    # Before Pillow, which walks segments, chunks and fill bytes one by one in Python: millions would hold the process for seconds.
    scans = _decoder_says(lambda: _scans_of(content)) if image_format == "jpeg" else 1
    block = _decoder_says(lambda: png_exif(content)) if image_format == "png" else None
    if image_format == "webp":
        _check_size(*webp_size(content), limits)
    picture = _decoder_says(lambda: open_picture(content, image_format))
    width, height = picture.size
    _check_size(width, height, limits)
    if nature := _decoder_says(lambda: other_nature(content, image_format)):
        raise InvalidImage(f"This file is a picture and {nature} in one. Save the picture again and send it alone.")
    if scans * width * height > _SCAN_PIXELS_MAX:
        raise InvalidImage(f"This JPEG has {scans} scans, too many for its size. Save it again as a baseline JPEG.")
    if not has_range(picture):
        raise UnsupportedFormat("The pixels are 32-bit or floating-point numbers. Save the picture with 8 or 16 bits.")
    # A TIFF's is 1: Pillow's decoder turns it itself.
    orientation = 1 if image_format == "tiff" else _orientation_of(block or picture.info.get("exif"))
    if orientation >= 5:  # 5..8 lie on their side
        width, height = height, width
    return Image(content, image_format, width, height, orientation, picture.mode, is_plain(picture), reference)


def _check_size(width: int, height: int, limits: ImageLimits) -> None:
    if width < 1 or height < 1:
        raise InvalidImage(f"The image is {width} x {height} pixels: there is nothing to look at.")
    if width * height > limits.pixels_max:
        raise ImageTooLarge(f"The image is {width} x {height} pixels; at most {limits.pixels_max} in all are taken.")
    if max(width, height) > limits.side_max:
        raise ImageTooLarge(f"The image is {width} x {height} pixels; a side may have at most {limits.side_max}.")


def _scans_of(content: bytes) -> int:
    kinds = [part.kind for part in jpeg_parts(content)]
    if kinds[-1:] != [EOI]:
        raise InvalidImage("This JPEG is cut short: its end marker is missing. Send the whole file.")
    scans = kinds.count(SOS)
    if not 1 <= scans <= _SCANS_MAX:
        raise InvalidImage(f"This JPEG has {scans} scans; 1 to {_SCANS_MAX} are taken. Save it again as a baseline JPEG.")
    return scans


def _orientation_of(block: bytes | None) -> int:
    """EXIF's, and no other: XMP's is ignored, as browsers do."""
    exif = PIL.Image.Exif()
    try:
        exif.load(block or b"")
        orientation = exif.get(0x0112)
    except Exception:  # noqa: BLE001 -- a damaged EXIF block is no reason to refuse the picture beside it
        return 1
    return orientation if orientation in _UPRIGHT else 1


def _decoder_says(decode: Callable[[], T]) -> T:
    """What a decoder answers; whatever it raises is the file's fault."""
    try:
        return decode()
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageTooLarge("The image takes more memory to decode than there is. Send it smaller.") from error
    except Exception as error:  # decoders raise nearly everything: OSError, SyntaxError, struct.error, zlib.error, ...
        raise InvalidImage(f"The image is damaged or cut short ({error}). Send the whole file, or save it anew.") from error


@contextmanager
def _upright(image: Image, side_min: int | None) -> Iterator[PIL.Image.Image]:
    """The decoded picture, upright RGB, scaled down to a longer side of at least `side_min` where it is more than twice that.

    Others that are large wait for the end of the block: hold on to nothing of full size.
    """
    picture = _decoder_says(lambda: open_picture(image.content, image.format))
    pixels = image.width * image.height
    if side_min is not None and picture.draft(None, (side_min, side_min)) and "progressive" not in picture.info:
        pixels = picture.width * picture.height  # a progressive one is held at full size, whatever comes out
    with _GATE.hold(pixels):
        yield _decoder_says(lambda: _decoded(picture, image.orientation, side_min))


def _decoded(picture: PIL.ImageFile.ImageFile, orientation: int, side_min: int | None) -> PIL.Image.Image:
    picture.load()
    srgb = to_srgb(picture)
    srgb.info.clear()  # Pillow would write comments and more of it into a new file
    if side_min is not None and max(srgb.size) > 2 * side_min:  # no decoder but JPEG's scales
        srgb.thumbnail((side_min, side_min), PIL.Image.Resampling.BOX)
    return srgb if orientation == 1 else srgb.transpose(_UPRIGHT[orientation])


def _as_jpeg(picture: PIL.Image.Image, bytes_max: int, side_max: int) -> bytes:
    if max(picture.size) > side_max:
        picture.thumbnail((side_max, side_max), PIL.Image.Resampling.LANCZOS)
    while True:
        for quality in (92, 80):
            out = io.BytesIO()
            picture.save(out, "JPEG", quality=quality)
            if out.tell() <= bytes_max:
                return out.getvalue()
        if picture.size == (1, 1):
            raise ImageTooLarge(f"No picture has as little as {bytes_max} bytes.")
        picture = picture.resize((max(picture.width * 3 // 4, 1), max(picture.height * 3 // 4, 1)), PIL.Image.Resampling.LANCZOS)
