import pytest

from providers.metadata import EOI, SOS, jpeg_parts, png_exif, png_parts, without_metadata
from tests.providers.pictures import chunk, exif, noise, png, saved

JPEG = saved(noise(), "JPEG", progressive=True, exif=exif(6, gps=True), comment="SecretComment")
PNG = saved(noise(), "PNG", exif=exif(6, gps=True))
JFIF = b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"


def test_the_parts_of_a_jpeg_are_the_whole_file():
    parts = list(jpeg_parts(JPEG + b"behind"))
    assert [part.start for part in parts] == [2, *(part.end for part in parts[:-1])]
    assert (parts[-1].kind, parts[-1].end) == (EOI, len(JPEG))
    assert sum(part.kind == SOS for part in parts) > 5


def test_the_parts_of_a_png_are_the_whole_file():
    parts = list(png_parts(PNG + b"behind"))
    assert (parts[0].kind, parts[-1].kind, parts[-1].end) == (b"IHDR", b"IEND", len(PNG))


NOT_PLAIN = {
    "a JPEG without an end": (JPEG[:-2], "jpeg"),
    "a PNG without an end": (PNG[:-12], "png"),
    "bytes between segments": (JPEG[:2] + b"hidden" + JPEG[2:], "jpeg"),
    "a thumbnail in JFIF": (b"\xff\xd8\xff\xe0\0\x13JFIF\0\1\1\0\0\1\0\1\1\1abc" + JPEG[20:], "jpeg"),
    "a long Adobe segment": (b"\xff\xd8\xff\xee\0\x14Adobe\0\x64\0\0\0\0hidden" + JPEG[2:], "jpeg"),
    "a WebP": (saved(noise(), "WEBP"), "webp"),
    "nothing": (b"", "jpeg"),
}


@pytest.mark.parametrize(("content", "image_format"), NOT_PLAIN.values(), ids=NOT_PLAIN)
def test_what_is_not_plain_is_left_to_the_decoder(content, image_format):
    assert without_metadata(content, image_format) is None


def test_what_hides_between_scans_or_behind_a_known_marker_is_dropped():
    second_scan = next(part.start for part in jpeg_parts(JPEG) if part.kind == 0xC4 and part.start > 1500)
    content = JPEG[:2] + b"\xff\xe0\0\x08hidden" + JPEG[2:second_scan] + b"\xff\xfe\0\x08hidden" + JPEG[second_scan:]
    bare = without_metadata(content, "jpeg")
    assert bare is not None
    assert b"hidden" not in bare
    assert bare == without_metadata(JPEG, "jpeg")
    assert JFIF[:10] in bare


def test_adobes_marker_stays_because_it_says_what_the_colours_are():
    rgb = saved(noise(), "JPEG", keep_rgb=True)
    assert b"Adobe" in (without_metadata(rgb, "jpeg") or b"")


def test_every_chunk_of_a_png_that_is_no_pixel_goes():
    extra = b"".join(chunk(kind, b"hidden\0data") for kind in (b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"tIME", b"acTL", b"fdAT", b"prVt"))
    bare = without_metadata(png(1, 1, 8, 0, b"\0\0", before=extra, after=extra), "png")
    assert bare == png(1, 1, 8, 0, b"\0\0")


def test_exif_is_found_before_and_behind_the_pixels_of_a_png():
    block = chunk(b"eXIf", b"MM\0*")
    assert png_exif(png(1, 1, 8, 0, b"\0\0", before=block)) == png_exif(png(1, 1, 8, 0, b"\0\0", after=block)) == b"MM\0*"
    assert png_exif(png(1, 1, 8, 0, b"\0\0")) is None


@pytest.mark.parametrize(
    "walk",
    [
        lambda: list(jpeg_parts(b"\xff\xd8" + b"\xff\xe0\0\2" * 70_000)),
        lambda: list(jpeg_parts(b"\xff\xd8" + bytes(70_000) + b"\xff\xd9")),
        lambda: list(png_parts(bytes(8) + chunk(b"tEXt", b"") * 70_000)),
    ],
    ids=["segments", "bytes between segments", "chunks"],
)
def test_a_walk_has_an_end(walk):
    with pytest.raises(ValueError, match="more than 65536"):
        walk()
