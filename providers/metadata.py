"""A JPEG or PNG without anything but its picture: no EXIF (and so no place where it was taken), no comments, nothing after its end.

Done on the bytes, so that no pixel is decoded and none changes.
"""

import struct

_JPEG_KEPT = frozenset({0xE0, 0xEE, *range(0xC0, 0xD0), 0xDB, 0xDD})
"""JFIF, Adobe's colour transform, frames and Huffman tables, quantisation tables, restart interval (ITU T.81, table B.1)."""

_PNG_KEPT = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"sRGB"})
_SOS, _EOI = 0xDA, 0xD9


def without_metadata(content: bytes, image_format: str) -> bytes | None:
    """The same picture, bare; None where the bytes are not of the plain kind that this can walk."""
    try:
        if image_format == "jpeg":
            return _bare_jpeg(content)
        if image_format == "png":
            return _bare_png(content)
    except (IndexError, struct.error):
        return None
    return None


def _bare_jpeg(content: bytes) -> bytes | None:
    kept = [content[:2]]
    at = 2
    while content[at] == 0xFF:
        marker = content[at + 1]
        end = at + 2 + struct.unpack_from(">H", content, at + 2)[0]
        if marker == _SOS:
            picture_end = _end_of_scans(content, end)
            return b"".join([*kept, content[at:picture_end]]) if picture_end else None
        if marker in _JPEG_KEPT:
            kept.append(content[at:end])
        at = end
    return None


def _end_of_scans(content: bytes, at: int) -> int | None:
    """Where the picture ends: behind its end marker, over all scans. A marker is FF and then neither 00 nor a restart (D0..D7)."""
    while (at := content.find(b"\xff", at)) >= 0:
        marker = content[at + 1]
        if marker == _EOI:
            return at + 2
        if marker == 0x00 or 0xD0 <= marker <= 0xD7:
            at += 2
        elif marker == 0xFF:
            at += 1
        else:
            at += 2 + struct.unpack_from(">H", content, at + 2)[0]
    return None


def _bare_png(content: bytes) -> bytes | None:
    kept = [content[:8]]
    at = 8
    while True:
        length, kind = struct.unpack_from(">I4s", content, at)
        end = at + 12 + length
        if kind in _PNG_KEPT:
            kept.append(content[at:end])
        if kind == b"IEND":
            return b"".join(kept)
        at = end
