"""What stands in a JPEG or PNG beside its pixels, read and taken away on the bytes: no pixel is decoded and none changes.

Bare means: no EXIF (and so no place where it was taken), no thumbnail, no comment, nothing between the parts or after the end.
"""

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

EOI, SOS = 0xD9, 0xDA
_JPEG_KEPT = frozenset({*range(0xC0, 0xD0), SOS, EOI, 0xDB, 0xDD})
"""Frames and Huffman tables, scans, the end, quantisation tables, restart interval (ITU T.81, table B.1)."""

_JPEG_COLOURS = {0xE0: (b"JFIF\x00", 18), 0xEE: (b"Adobe", 16)}
"""Segments that say how colours are stored, with their beginning and their size where nothing else is in them."""

_MARKER = re.compile(rb"\xff[^\x00\xff]")
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""In a scan, FF 00 is a byte FF, and D0..D7 are restarts (ITU T.81, B.1.1.5)."""

_PNG_KEPT = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"sRGB"})

_PARTS_MAX = 65_536
_SKIPPED_MAX = 65_536
"""Segments or chunks in a file, and bytes between a JPEG's. Encoders write thousands at most; millions cost whoever walks them seconds."""


class Part(NamedTuple):
    """One segment of a JPEG or chunk of a PNG: `content[start:end]`, framing included."""

    kind: int | bytes
    start: int
    end: int


def jpeg_parts(content: bytes) -> Iterator[Part]:
    """A JPEG's segments behind SOI, a scan with its data, to the end marker or, where that is missing, the end of the bytes.

    Between segments it skips what is none, as libjpeg does: both must see the same scans.

    Raises:
        ValueError: there are too many, or too much between them.
    """
    at, count, skipped = 2, 0, 0
    while found := _MARKER.search(content, at):
        start, kind = found.start(), content[found.start() + 1]
        skipped += start - at
        if skipped > _SKIPPED_MAX:
            raise ValueError(f"more than {_SKIPPED_MAX} bytes that belong to nothing")
        end = start + 2
        if kind not in {0x01, EOI, *range(0xD0, 0xD9)}:  # these stand alone; the others say their length
            end += int.from_bytes(content[end : end + 2], "big")
        if kind == SOS:
            following = _MARKER_IN_SCAN.search(content, end)
            end = following.start() if following else len(content)
        yield Part(kind, start, end)
        at, count = end, _counted(count)
        if kind == EOI:
            return


def png_parts(content: bytes) -> Iterator[Part]:
    """A PNG's chunks, to IEND or the end of the bytes.

    Raises:
        ValueError: there are too many.
    """
    at, count = 8, 0
    while at + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        yield Part(kind, at, at + 12 + length)
        at, count = at + 12 + length, _counted(count)
        if kind == b"IEND":
            return


def png_exif(content: bytes) -> bytes | None:
    """The EXIF block of a PNG, which may stand behind the pixels: Pillow would decode them all to find it."""
    return next((content[part.start + 8 : part.end - 4] for part in png_parts(content) if part.kind == b"eXIf"), None)


def without_metadata(content: bytes, image_format: str) -> bytes | None:
    """The same picture, bare; None where the bytes are not of the plain kind that this can walk."""
    if image_format == "jpeg":
        return _bare_jpeg(content)
    if image_format == "png":
        return _bare_png(content)
    return None


def _bare_jpeg(content: bytes) -> bytes | None:
    kept, at = [content[:2]], 2
    for kind, start, end in jpeg_parts(content):
        if start != at:  # something between the segments
            return None
        if kind in _JPEG_COLOURS:
            beginning, size = _JPEG_COLOURS[kind]
            if content.startswith(beginning, start + 4):
                if end - start != size:  # a thumbnail, or something that hides behind the name
                    return None
                kept.append(content[start:end])
        elif kind in _JPEG_KEPT:
            kept.append(content[start:end])
        at = end
        if kind == EOI:
            return b"".join(kept)
    return None


def _bare_png(content: bytes) -> bytes | None:
    kept = [content[:8]]
    for kind, start, end in png_parts(content):
        if kind in _PNG_KEPT:
            kept.append(content[start:end])
        if kind == b"IEND":
            return b"".join(kept)
    return None


def _counted(count: int) -> int:
    if count >= _PARTS_MAX:
        raise ValueError(f"more than {_PARTS_MAX} parts")
    return count + 1
