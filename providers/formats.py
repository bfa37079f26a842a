"""Which format bytes are of, by themselves, and what Pillow's decoder of that format says of their header."""

import io
from collections.abc import Callable

import PIL.Image
import PIL.ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

# Our own limits stand before decoding and are lower for what matters; Pillow's would only warn (https://pillow.readthedocs.io, Image.open).
PIL.Image.MAX_IMAGE_PIXELS = None

# One block a picture instead of many of 16 MiB: glibc gives what is larger than 32 MiB back to the system when it is freed, and keeps
# the rest for the thread that freed it (12 threads with 20 megapixels each kept 1 GB). https://man7.org/linux/man-pages/man3/mallopt.3.html
PIL.Image.core.set_block_size(1 << 30)  # type: ignore[attr-defined]  # the same as Pillow's PILLOW_BLOCK_SIZE

_DECODERS: dict[str, Callable[[io.BytesIO], PIL.ImageFile.ImageFile]] = {
    "jpeg": JpegImageFile,  # itself: `Image.open` makes a phone's multi-picture JPEG an MPO, and refuses it where its index is damaged
    "png": PngImageFile,
    "webp": WebPImageFile,
    "gif": GifImageFile,
    "bmp": BmpImageFile,
    "tiff": TiffImageFile,
}
DEFAULT_FORMATS = frozenset({"jpeg", "png", "webp"})
KNOWN_FORMATS = frozenset(_DECODERS)

# Pictures and documents that we know and do not take: an honest 415 instead of "not an image".
_SIGNATURES: tuple[tuple[bytes, int, str], ...] = (
    (b"\xff\xd8\xff", 0, "jpeg"),
    (b"\x89PNG\r\n\x1a\n", 0, "png"),
    (b"GIF87a", 0, "gif"),
    (b"GIF89a", 0, "gif"),
    (b"II*\x00", 0, "tiff"),
    (b"MM\x00*", 0, "tiff"),
    (b"II+\x00", 0, "tiff"),  # BigTIFF
    (b"MM\x00+", 0, "tiff"),
    (b"%PDF", 0, "pdf"),
    (b"%!PS", 0, "eps"),
    (b"\xc5\xd0\xd3\xc6", 0, "eps"),
    (b"8BPS", 0, "psd"),
    (b"SIMPLE  =", 0, "fits"),
    (b"\x00\x00\x01\x00", 0, "ico"),
    (b"\x00\x00\x00\x0cjP  ", 0, "jpeg2000"),
    (b"\xff\x4f\xff\x51", 0, "jpeg2000"),
    (b"\x00\x00\x00\x0cJXL ", 0, "jpegxl"),
    (b"\xff\x0a", 0, "jpegxl"),
    *((b"ftyp" + brand, 4, "avif") for brand in (b"avif", b"avis")),
    *((b"ftyp" + brand, 4, "heic") for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")),
    (b"ftyp", 4, "mp4"),
)
_BMP_HEADERS = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
"""Sizes of the header behind `BM`, which two letters of any text could be."""


def format_of(content: bytes) -> str | None:
    """`jpeg`, `png`, … or the name of something that is taken nowhere (`pdf`, `heic`); None for what is unknown."""
    for signature, offset, name in _SIGNATURES:
        if content.startswith(signature, offset):
            return name
    if content.startswith(b"RIFF") and content.startswith(b"WEBP", 8):
        return "webp"
    if content.startswith(b"BM") and int.from_bytes(content[14:18], "little") in _BMP_HEADERS:
        return "bmp"
    head = content[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return "svg" if head.startswith((b"<svg", b"<?xml")) and b"<svg" in head else None


def open_picture(content: bytes, image_format: str) -> PIL.ImageFile.ImageFile:
    """The decoder, with the header read and no pixel decoded. It raises nearly everything."""
    return _DECODERS[image_format](io.BytesIO(content))


def webp_size(content: bytes) -> tuple[int, int]:
    """Width and height as a WebP's first chunk has them. Pillow's decoder makes room for the whole picture to say as much.

    Source: https://developers.google.com/speed/webp/docs/riff_container, RFC 6386 (9.1), RFC 9649 (3.4)
    """
    kind, at = content[12:16], 20
    if kind == b"VP8X":
        return _little(content, at + 4, 3) + 1, _little(content, at + 7, 3) + 1
    if kind == b"VP8L":
        bits = _little(content, at + 1, 4)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return _little(content, at + 6, 2) & 0x3FFF, _little(content, at + 8, 2) & 0x3FFF


def _little(content: bytes, at: int, length: int) -> int:
    return int.from_bytes(content[at : at + length], "little")
