import io
import random
import zipfile

import PIL.Image
import PIL.PngImagePlugin
import pytest

from providers.images import ImageLimits, InvalidImage, read_image


def saved(image_format: str, **save: object) -> bytes:
    out = io.BytesIO()
    PIL.Image.effect_noise((120, 90), 60).convert("RGB").save(out, image_format, **save)
    return out.getvalue()


def archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("payload.txt", "x" * 100)
        made.comment = b"with a comment"
    return out.getvalue()


SECOND_NATURES = {
    "page": b"<!DOCTYPE html><html><body>hello</body></html>",
    "page after zeros": b"\0" * 5000 + b"<HTML >hello",
    "script": b"\n<script>alert(1)</script>",
    "php": b"<?php system($_GET['c']); ?>",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
    "pdf": b"\n%PDF-1.7\n1 0 obj",
    "zip": archive(),
    "rar": b"Rar!\x1a\x07\x00",
    "7z": b"7z\xbc\xaf\x27\x1c\x00\x04",
    "gzip": b"\x1f\x8b\x08\x00",
    "elf": b"\x7fELF\x02\x01",
    "exe": b"MZ\x90\x00",
    "java": b"\xca\xfe\xba\xbe\x00\x00",
    "shell": b"\n#!/bin/sh\nrm -rf /",
}


@pytest.mark.parametrize("second", SECOND_NATURES.values(), ids=SECOND_NATURES)
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_a_picture_that_is_something_else_too_is_refused(image_format, second):
    content = saved(image_format)
    read_image(content, ImageLimits())
    with pytest.raises(InvalidImage, match=r"in one\. Save the picture again"):
        read_image(content + second, ImageLimits())


def test_a_page_in_a_comment_is_refused():
    with pytest.raises(InvalidImage, match="a page or script"):
        read_image(saved("JPEG", comment=b"<script>alert(1)</script>"), ImageLimits())
    text = PIL.PngImagePlugin.PngInfo()
    text.add_text("Comment", "<html><body>hello</body></html>")
    with pytest.raises(InvalidImage, match="a page or script"):
        read_image(saved("PNG", pnginfo=text), ImageLimits())
    with pytest.raises(InvalidImage, match="a PDF"):
        read_image(saved("JPEG", comment=b"%PDF-1.4 1 0 obj"), ImageLimits())


def test_an_archive_behind_a_bitmap_is_refused():
    limits = ImageLimits(formats=frozenset({"bmp", "gif", "tiff"}))
    for image_format in ("BMP", "GIF", "TIFF"):
        with pytest.raises(InvalidImage, match="a ZIP archive"):
            read_image(saved(image_format) + archive(), limits)


XMP = b'http://ns.adobe.com/xap/1.0/\0<?xpacket begin=""?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF/></x:xmpmeta><?xpacket end="w"?>'


@pytest.mark.parametrize(
    "trailer",
    [
        b"\0" * 4096,
        b"\r\n",
        saved("JPEG"),  # a phone's second picture
        b"\0\0\0\x18ftypmp42" + random.Random(1).randbytes(1_000_000),  # a motion photo's film
        b"SEFHe\0\0\0" + random.Random(2).randbytes(10_000) + b"SEFT",  # a maker's own notes
        b"PK\x05\x06 is not the end of an archive here",
    ],
)
def test_what_phones_and_editors_put_behind_a_picture_is_no_second_nature(trailer):
    assert read_image(saved("JPEG") + trailer, ImageLimits()).width == 120
    assert read_image(saved("PNG") + trailer, ImageLimits()).width == 120


def test_xmp_and_random_pixels_are_no_markup():
    plain = saved("JPEG")
    app1 = b"\xff\xe1" + (len(XMP) + 2).to_bytes(2, "big") + XMP
    assert read_image(plain[:2] + app1 + plain[2:], ImageLimits()).width == 120
