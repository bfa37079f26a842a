"""Files that are a picture to us and something else to another program: a page, a script, an archive, a program.

Nobody makes one by accident. What phones put behind a picture (a second picture, a short film, the maker's own notes) is none of these.
Source: https://github.com/corkami/docs/blob/master/AbusingFileFormats/README.md; APPNOTE.TXT 4.3.16 (ZIP); ISO 32000-1, Annex H.3.4 (PDF)
"""

import re
from collections.abc import Iterator

from providers.metadata import SOS, jpeg_parts, png_parts

_MARKUP = re.compile(rb"<(?:html|head|body|script|iframe|svg|!doctype\s+html)[\s>]|<\?php", re.IGNORECASE)
_BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a ZIP archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\x1f\x8b\x08", "a gzip archive"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"\xca\xfe\xba\xbe", "a program"),
    (b"#!", "a script"),
)
"""What the bytes after a picture begin with."""

_PDF_HEAD = 1024
"""PDF readers look for their header so far into a file."""

_ZIP_END, _ZIP_END_BYTES, _ZIP_COMMENT_MAX = b"PK\x05\x06", 22, 0xFFFF
"""A ZIP is read from its end: that record, and a comment whose length it names."""


def other_nature(content: bytes, image_format: str) -> str | None:
    """What these bytes are besides a picture, in words; None where they are a picture alone.

    Raises:
        ValueError: more parts than a picture has.
    """
    if b"%PDF-" in content[:_PDF_HEAD]:
        return "a PDF"
    if _ends_as_zip(content):
        return "a ZIP archive"
    for piece, is_rest in _beside_the_pixels(content, image_format):
        if _MARKUP.search(piece):
            return "a page or script"
        if is_rest:
            if b"%PDF-" in piece:
                return "a PDF"
            start = piece[:64].lstrip(b"\x00\r\n\t ")
            if found := next((name for beginning, name in _BEGINNINGS if start.startswith(beginning)), None):
                return found
    return None


def _beside_the_pixels(content: bytes, image_format: str) -> Iterator[tuple[bytes, bool]]:
    """Whatever of the file is not pixels, and whether it is what stands after the picture. Of GIF, BMP and TIFF: nothing."""
    end = 0
    if image_format == "jpeg":
        for kind, start, end in jpeg_parts(content):
            if kind != SOS:
                yield content[start:end], False
    elif image_format == "png":
        for kind, start, end in png_parts(content):
            if kind != b"IDAT":
                yield content[start:end], False
    elif image_format == "webp":
        end = 8 + int.from_bytes(content[4:8], "little")
    if end:
        yield content[end:], True


def _ends_as_zip(content: bytes) -> bool:
    at = content.rfind(_ZIP_END, max(len(content) - _ZIP_END_BYTES - _ZIP_COMMENT_MAX, 0))
    return at >= 0 and at + _ZIP_END_BYTES + int.from_bytes(content[at + 20 : at + 22], "little") == len(content)
