"""Pictures: from the bytes a client sent to upright RGB, and to the bytes that a provider takes.

Everything is decided by the bytes, never by a name or a declared type. Size limits are checked on the header, before a pixel is decoded.
"""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from providers.metadata import without_metadata

T = TypeVar("T")
Pixels = NDArray[np.uint8]
"""(height, width, 3) upright RGB."""

# Our own limits stand before decoding and are lower for what matters; Pillow's would only warn (https://pillow.readthedocs.io, Image.open).
PIL.Image.MAX_IMAGE_PIXELS = None

DEFAULT_FORMATS = frozenset({"jpeg", "png", "webp"})
KNOWN_FORMATS = DEFAULT_FORMATS | {"gif", "bmp", "tiff"}

# Pictures and documents that we know and do not take: an honest 415 instead of "not an image".
_SIGNATURES: tuple[tuple[bytes, int, str], ...] = (
    (b"\xff\xd8\xff", 0, "jpeg"),
    (b"\x89PNG\r\n\x1a\n", 0, "png"),
    (b"WEBP", 8, "webp"),
    (b"GIF8", 0, "gif"),
    (b"BM", 0, "bmp"),
    (b"II*\x00", 0, "tiff"),
    (b"MM\x00*", 0, "tiff"),
    (b"%PDF", 0, "pdf"),
    (b"%!PS", 0, "eps"),
    (b"8BPS", 0, "psd"),
    (b"SIMPLE  =", 0, "fits"),
    (b"\x00\x00\x01\x00", 0, "ico"),
    (b"\x00\x00\x00\x0cjP  ", 0, "jpeg2000"),
    (b"ftypavif", 4, "avif"),
    (b"ftypheic", 4, "heic"),
    (b"ftypmif1", 4, "heic"),
)
_WORKING_SIDE = 832
"""Twice the in-house model's input: large JPEGs are decoded scaled down, but never below this."""

_SCANS_MAX = 64
"""A progressive JPEG has about ten. Thousands make a small file take minutes (https://libjpeg-turbo.org/pmwiki/uploads/About/TwoIssueswiththeJPEGStandard.pdf)."""

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
    """One picture, decoded at most once.

    Attributes:
        content: the bytes as they came.
        format: `jpeg`, `png`, …, by the bytes.
        width, height: of the UPRIGHT picture, in pixels.
        orientation: EXIF's, 1..8; 1 is upright.
        mode: Pillow's name of the stored colours.
        reference: where a cloud of its own can read the same bytes: `s3://bucket/key` or `gs://bucket/key`.
    """

    content: bytes = field(repr=False)
    format: str
    width: int
    height: int
    orientation: int
    mode: str
    reference: str | None = None

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the bytes, in hex."""
        return hashlib.sha256(self.content).hexdigest()

    @cached_property
    def pixels_digest(self) -> str:
        """SHA-256 of the upright RGB pixels and their shape, in hex: the same for the same picture in another container."""
        pixels = _upright(self, None)
        shape = f"{pixels.shape[1]}x{pixels.shape[0]}:".encode()
        return hashlib.sha256(shape + pixels.tobytes()).hexdigest()

    @cached_property
    def pixels(self) -> Pixels:
        """Upright RGB, at full size or, of a large picture, scaled down to a longer side of at least 832.

        Raises:
            InvalidImage: truncated or damaged.
        """
        return _upright(self, _WORKING_SIDE)

    def encoded(self, formats: frozenset[str], bytes_max: int, side_max: int) -> bytes:
        """The upright picture as a provider takes it, without EXIF or anything else beside the picture.

        The client's own bytes where they fit, else a JPEG of the best quality and then the largest size that fit. Boxes are fractions,
        so a scaled picture changes none.

        Args:
            formats: that the provider decodes; JPEG must be one.
            bytes_max: of the encoded picture.
            side_max: of the longer side, in pixels.
        """
        plain = self.orientation == 1 and self.mode in {"L", "RGB"} and max(self.width, self.height) <= side_max
        if plain and self.format in formats:
            bare = without_metadata(self.content, self.format)
            if bare is not None and len(bare) <= bytes_max:
                return bare
        return _as_jpeg(_upright(self, None), bytes_max, side_max)


def read_image(content: bytes, limits: ImageLimits, reference: str | None = None) -> Image:
    """Look at the header and refuse what can't be used. No pixel is decoded here.

    Raises:
        InvalidImage: empty, not an image, damaged header, too many scans.
        ImageTooLarge: over a limit.
        UnsupportedFormat: known, and not taken.
    """
    if not content:
        raise InvalidImage("The image is empty: 0 bytes were sent.")
    if len(content) > limits.content_bytes_max:
        raise ImageTooLarge(f"The image is {len(content)} bytes; at most {limits.content_bytes_max} are taken.")
    image_format = _format_of(content)
    taken = ", ".join(sorted(limits.formats))
    if image_format is None:
        raise InvalidImage(f"These bytes are not an image. Send one of: {taken}.")
    if image_format not in limits.formats:
        raise UnsupportedFormat(f"This is {image_format}, which is not taken here. Send one of: {taken}.")
    if image_format == "jpeg" and content.count(b"\xff\xda") > _SCANS_MAX:
        raise InvalidImage(f"This JPEG has more than {_SCANS_MAX} scans. Save it again as a baseline JPEG.")
    picture = _decoder_says(lambda: PIL.Image.open(io.BytesIO(content), formats=(image_format.upper(),)))
    width, height = picture.size
    if width < 1 or height < 1:
        raise InvalidImage(f"The image is {width} x {height} pixels: there is nothing to look at.")
    if width * height > limits.pixels_max:
        raise ImageTooLarge(f"The image is {width} x {height} pixels; at most {limits.pixels_max} in all are taken.")
    if max(width, height) > limits.side_max:
        raise ImageTooLarge(f"The image is {width} x {height} pixels; a side may have at most {limits.side_max}.")
    orientation = _orientation_of(picture)
    if orientation >= 5:  # 5..8 lie on their side
        width, height = height, width
    return Image(content, image_format, width, height, orientation, picture.mode, reference)


def size_of(content: bytes) -> tuple[int, int]:
    """Width and height in pixels of an encoded picture, as it lies: from its header.

    Raises:
        InvalidImage: not one that Pillow knows.
    """
    return _decoder_says(lambda: PIL.Image.open(io.BytesIO(content))).size


def _format_of(content: bytes) -> str | None:
    for signature, offset, name in _SIGNATURES:
        if content.startswith(signature, offset):
            return name
    head = content[:1024].lstrip().lower()
    return "svg" if head.startswith((b"<svg", b"<?xml")) and b"<svg" in head else None


def _orientation_of(picture: PIL.Image.Image) -> int:
    try:
        orientation = picture.getexif().get(0x0112, 1)
    except Exception:  # noqa: BLE001 -- a damaged EXIF block is no reason to refuse the picture beside it
        return 1
    return orientation if orientation in _UPRIGHT else 1


def _decoder_says(decode: Callable[[], T]) -> T:
    """What a decoder answers; whatever it raises is the file's fault."""
    try:
        return decode()
    except MemoryError:
        raise
    except Exception as error:  # decoders raise nearly everything: OSError, SyntaxError, struct.error, zlib.error, ...
        raise InvalidImage(f"The image is damaged or cut short ({error}).") from error


def _upright(image: Image, side_min: int | None) -> Pixels:
    """Decode: upright RGB, scaled down in the decoder to a longer side of at least `side_min` where it can."""

    def decode() -> PIL.Image.Image:
        picture = PIL.Image.open(io.BytesIO(image.content), formats=(image.format.upper(),))
        if side_min is not None:
            picture.draft(None, (side_min, side_min))
        picture.load()
        return _as_rgb(picture)

    picture = _decoder_says(decode)
    if side_min is not None and max(picture.size) > 2 * side_min:  # not a JPEG: no decoder scaled it
        picture.thumbnail((side_min, side_min), PIL.Image.Resampling.BOX)
    if image.orientation != 1:
        picture = picture.transpose(_UPRIGHT[image.orientation])
    return np.asarray(picture)


def _as_rgb(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Any colours as 8-bit RGB; what is transparent lies on white."""
    if picture.mode == "RGB":
        return picture
    if picture.mode.startswith("I"):  # 16-bit grey. Pillow would clip it: 1000 of 65535 becomes white
        grey = np.clip(np.asarray(picture).astype(np.int64), 0, 65_535)
        return PIL.Image.fromarray(((grey + 128) // 257).astype(np.uint8)).convert("RGB")
    if picture.mode == "F":
        raise InvalidImage("Pixels are floating-point numbers. Save the picture with 8 or 16 bits.")
    if picture.has_transparency_data:
        coloured = picture.convert("RGBA")
        white = PIL.Image.new("RGBA", coloured.size, "white")
        return PIL.Image.alpha_composite(white, coloured).convert("RGB")
    return picture.convert("RGB")


def _as_jpeg(pixels: Pixels, bytes_max: int, side_max: int) -> bytes:
    picture = PIL.Image.fromarray(pixels)
    if max(picture.size) > side_max:
        picture.thumbnail((side_max, side_max), PIL.Image.Resampling.LANCZOS)
    while True:
        for quality in (92, 80):
            out = io.BytesIO()
            picture.save(out, "JPEG", quality=quality)
            if out.tell() <= bytes_max:
                return out.getvalue()
        picture = picture.resize((max(picture.width * 3 // 4, 1), max(picture.height * 3 // 4, 1)), PIL.Image.Resampling.LANCZOS)
