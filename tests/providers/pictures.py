"""Pictures for tests, made here: known pixels in every container."""

import io
import resource
import struct
import subprocess
import sys
import textwrap
import zlib

import numpy as np
import PIL.Image
import PIL.ImageOps
from PIL import ImageCms

from providers.images import Image, ImageLimits, read_image
from tests.processes import ROOT

ORIENTATION = 0x0112
ALL_FORMATS = frozenset({"jpeg", "png", "webp", "gif", "bmp", "tiff"})
EVERYTHING = ImageLimits(formats=ALL_FORMATS)
CLOUD = (frozenset({"jpeg", "png"}), 5 * 1024 * 1024, 10_000)
"""What Rekognition takes."""
TRAILER = b"\x00\x00secret notes of the maker" + bytes(range(256))
RED, BLUE = (PIL.Image.new("RGB", (32, 24), colour) for colour in ("red", "blue"))


def corners(width: int = 48, height: int = 32) -> PIL.Image.Image:
    """A picture whose every corner has a colour of its own: red, green, blue, and yellow at the bottom right."""
    picture = PIL.Image.new("RGB", (width, height))
    for box, colour in (
        ((0, 0, width // 2, height // 2), "red"),
        ((width // 2, 0, width, height // 2), "lime"),
        ((0, height // 2, width // 2, height), "blue"),
        ((width // 2, height // 2, width, height), "yellow"),
    ):
        picture.paste(colour, box)
    return picture


def noise(width: int = 96, height: int = 64, seed: int = 0) -> PIL.Image.Image:
    """Random pixels: every byte of a file counts."""
    return PIL.Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def saved(picture: PIL.Image.Image, image_format: str, **options: object) -> bytes:
    """The file that Pillow writes."""
    out = io.BytesIO()
    picture.save(out, image_format, **options)
    return out.getvalue()


def exif(orientation: int, *, gps: bool = False) -> PIL.Image.Exif:
    """An EXIF block; with `gps`, one that tells where."""
    block = PIL.Image.Exif()
    block[ORIENTATION] = orientation
    if gps:
        block[0x010F] = "SecretCamera"
        block.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0)})
    return block


def chunk(kind: bytes, data: bytes) -> bytes:
    """A PNG chunk."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, before: bytes = b"", after: bytes = b"") -> bytes:
    """A PNG from its scan lines, each with its filter byte; `before` and `after` are chunks around the pixels."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + chunk(b"IDAT", zlib.compress(rows)) + after + chunk(b"IEND", b"")


def profile(red: tuple[float, float], green: tuple[float, float], blue: tuple[float, float], name: str) -> bytes:
    """An ICC v2 matrix profile (gamma 2.2, D50) of these primaries (x, y). Source: ICC.1:2001-04, 6.3.1.1."""

    def text(kind: bytes, body: bytes) -> bytes:
        return kind + bytes(4) + body

    def fixed(*values: float) -> bytes:
        return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))

    white = np.array([0.9642, 1.0, 0.8249])
    columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in (red, green, blue)]).T
    columns = columns * np.linalg.solve(columns, white)
    curve = text(b"curv", struct.pack(">IH", 1, round(2.2 * 256))) + bytes(2)
    label = name.encode() + b"\0"
    tags = {
        b"desc": text(b"desc", struct.pack(">I", len(label)) + label + bytes(78)),
        b"cprt": text(b"text", b"none\0"),
        b"wtpt": text(b"XYZ ", fixed(*white)),
        **{k: text(b"XYZ ", fixed(*columns[:, i])) for i, k in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))},
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    table, data, at = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for kind, body in tags.items():
        padded = body + bytes(-len(body) % 4)
        table += kind + struct.pack(">II", at + len(data), len(body))
        data += padded
    header = struct.pack(">I4sI4s4s4s12s4s", at + len(data), b"", 0x02400000, b"mntr", b"RGB ", b"XYZ ", bytes(12), b"acsp") + bytes(28)
    header += fixed(*white) + bytes(48)
    return header + table + data


DISPLAY_P3 = profile((0.6797, 0.3200), (0.2650, 0.6900), (0.1500, 0.0600), "Display P3")
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def read(content: bytes, limits: ImageLimits = EVERYTHING) -> Image:
    """By default all formats are taken."""
    return read_image(content, limits)


def in_subprocess(code: str, *, address_space: int | None = None) -> str:
    """What a program prints that has so many bytes of addresses at most."""

    def limit() -> None:
        if address_space:
            resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, capture_output=True, text=True, preexec_fn=limit, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def ycck(red: int, green: int, blue: int) -> bytes:
    """Adobe's YCCK: the inks, inverted, stored as a YCbCr picture of them with K beside it."""
    y, cb, cr = PIL.Image.new("RGB", (8, 8), (255 - red, 255 - green, 255 - blue)).convert("YCbCr").split()
    stored = PIL.Image.merge("CMYK", [*(PIL.ImageOps.invert(band) for band in (y, cb, cr)), PIL.Image.new("L", (8, 8), 0)])
    jpeg = saved(stored, "JPEG", quality=100, subsampling=0)
    at = jpeg.index(b"\xff\xee")
    return jpeg[: at + 15] + b"\x02" + jpeg[at + 16 :]
