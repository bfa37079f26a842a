"""What is no picture that we take, is too large, or was cut short, changed or continued: refused, or whole."""

import random
import struct
import zlib

import numpy as np
import PIL.Image
import PIL.ImageFile
import PIL.ImageOps
import pytest

from providers.images import ImageError, ImageLimits, ImageTooLarge, InvalidImage, UnsupportedFormat
from tests.providers.pictures import (
    ALL_FORMATS,
    BLUE,
    CLOUD,
    DISPLAY_P3,
    RED,
    TRAILER,
    chunk,
    corners,
    exif,
    in_subprocess,
    noise,
    png,
    read,
    saved,
    ycck,
)

# Pillow warns of damaged metadata; a server does not stop for it.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")


# --- what is not a picture that we take ---

NOT_TAKEN = {
    "empty": (b"", InvalidImage),
    "one byte": (b"\xff", InvalidImage),
    "text": (b"hello", InvalidImage),
    "text that begins with BM": (b"BMW is a car maker, and this is no bitmap.", InvalidImage),
    "html": (b"<!doctype html><html><body>404</body></html>", InvalidImage),
    "json": (b'{"image": 1}', InvalidImage),
    "zip": (b"PK\x03\x04" + bytes(100), InvalidImage),
    "RIFF of sound": (b"RIFF\x24\0\0\0WAVEfmt " + bytes(30), InvalidImage),
    "WEBP without RIFF": (b"\0" * 8 + b"WEBP" + bytes(30), InvalidImage),
    "only a JPEG's first bytes": (b"\xff\xd8\xff\xe0", InvalidImage),
    "only a PNG's first bytes": (b"\x89PNG\r\n\x1a\n", InvalidImage),
    "only a WebP's first bytes": (b"RIFF\0\0\0\0WEBP", InvalidImage),
    "only a GIF's first bytes": (b"GIF89a", InvalidImage),
    "only a TIFF's first bytes": (b"II*\x00", InvalidImage),
    "svg": (b'\xef\xbb\xbf<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', UnsupportedFormat),
    "pdf": (b"%PDF-1.7\n", UnsupportedFormat),
    "psd": (b"8BPS\0\1", UnsupportedFormat),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0", UnsupportedFormat),
    "eps with a preview": (b"\xc5\xd0\xd3\xc6" + bytes(30), UnsupportedFormat),
    "fits": (b"SIMPLE  =                    T", UnsupportedFormat),
    "heic": (b"\0\0\0\x18ftypheic" + bytes(20), UnsupportedFormat),
    "heif": (b"\0\0\0\x18ftypmif1" + bytes(20), UnsupportedFormat),
    "avif": (b"\0\0\0\x1cftypavif" + bytes(20), UnsupportedFormat),
    "mp4": (b"\0\0\0\x20ftypisom" + bytes(20), UnsupportedFormat),
    "jpeg xl": (b"\xff\x0a" + bytes(20), UnsupportedFormat),
    "jpeg 2000": (b"\x00\x00\x00\x0cjP  \r\n\x87\n", UnsupportedFormat),
    "ico": (b"\0\0\1\0\1\0" + bytes(20), UnsupportedFormat),
    "floating point": (saved(PIL.Image.new("F", (8, 8), 0.5), "TIFF"), UnsupportedFormat),
    "32-bit integers": (saved(PIL.Image.new("I", (8, 8), 70_000), "TIFF"), UnsupportedFormat),
    "no width": (png(0, 1, 8, 0, b"\0"), InvalidImage),
    "no height": (png(1, 0, 8, 0, b""), InvalidImage),
}


@pytest.mark.parametrize(("content", "error"), NOT_TAKEN.values(), ids=NOT_TAKEN)
def test_what_is_no_picture_that_we_take_is_refused_before_decoding(content, error):
    with pytest.raises(error) as refused:
        read(content)
    assert len(str(refused.value)) > 20


@pytest.mark.parametrize("image_format", sorted(ALL_FORMATS))
def test_the_bytes_decide_the_format_and_the_operator_what_is_taken(image_format):
    content = saved(corners(), image_format)
    assert read(content).format == image_format
    with pytest.raises(UnsupportedFormat, match=image_format):
        read(content, ImageLimits(formats=ALL_FORMATS - {image_format}))


def test_three_formats_are_taken_by_default():
    assert ImageLimits().formats == {"jpeg", "png", "webp"}


# --- limits ---

SIZES = {
    "at the limit": (10, 10, ImageLimits(pixels_max=100, side_max=10), None),
    "one pixel too many": (101, 1, ImageLimits(pixels_max=100), ImageTooLarge),
    "one side too long": (11, 1, ImageLimits(side_max=10), ImageTooLarge),
    "long and thin": (1, 20_000, ImageLimits(), None),
    "one pixel": (1, 1, ImageLimits(), None),
}


@pytest.mark.parametrize("image_format", ["png", "jpeg", "webp"])
@pytest.mark.parametrize(("width", "height", "limits", "error"), SIZES.values(), ids=SIZES)
def test_pixels_and_sides_are_limited(width, height, limits, error, image_format):
    if image_format == "webp" and height > 16_383:
        pytest.skip("WebP ends at 16,383 pixels")
    content = saved(PIL.Image.new("RGB", (width, height)), image_format)
    if error:
        with pytest.raises(error):
            read(content, limits)
    else:
        assert (read(content, limits).width, read(content, limits).height) == (width, height)


def test_bytes_are_limited():
    content = saved(corners(), "PNG")
    assert read(content, ImageLimits(content_bytes_max=len(content)))
    with pytest.raises(ImageTooLarge, match=str(len(content))):
        read(content, ImageLimits(content_bytes_max=len(content) - 1))


def test_a_bomb_is_refused_from_its_header_with_hardly_any_memory():
    assert in_subprocess(
        """
        import resource, struct, zlib
        from providers.images import ImageLimits, ImageTooLarge, read_image

        def chunk(kind, data):
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

        deflate = zlib.compressobj(9)
        rows = b"".join(deflate.compress(bytes(39001)) for _ in range(13000)) + deflate.flush()
        header = struct.pack(">IIBBBBB", 13000, 13000, 8, 2, 0, 0, 0)
        png = b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
        size = (16383).to_bytes(3, "little") * 2
        webp = b"RIFF" + struct.pack("<I", 4 + 18) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + size
        tiff = b"II*\\0" + struct.pack("<IH", 8, 4) + b"".join(
            struct.pack("<HHII", tag, 4, 1, value) for tag, value in ((256, 65000), (257, 65000), (262, 1), (273, 8))) + bytes(4)
        bmp = b"BM" + bytes(12) + struct.pack("<IiiHHI", 40, 65000, 65000, 1, 24, 0) + bytes(200)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for content in (png, webp, bmp, tiff):
            try:
                read_image(content, ImageLimits(formats=frozenset({"png", "webp", "bmp", "tiff"})))
            except ImageTooLarge:
                print("too large", end=" ")
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB
        print(len(png) < 600_000)
        """,
        address_space=700 << 20,
    ) == " ".join(["too large"] * 4 + ["True"])


COSTLY = {
    "fill bytes": b"\xff\xd8\xff\xe0\0\4ab" + b"\xff" * 5_000_000 + b"\xff\xda\0\2\xff\xd9",
    "garbage behind an early end marker": b"\xff\xd8\xff\xd9" + b"\xff" * 5_000_000,
    "empty segments": b"\xff\xd8" + b"\xff\xe0\0\2" * 1_000_000 + b"\xff\xda\0\2\xff\xd9",
    "empty chunks": png(4, 4, 8, 0, bytes(20), before=chunk(b"tEXt", b"a\0b") * 100_000),
    "a thousand scans": b"\xff\xd8" + b"\xff\xda\0\2" * 1000 + b"\xff\xd9",
}


@pytest.mark.parametrize("content", COSTLY.values(), ids=COSTLY)
def test_a_file_made_to_cost_time_never_reaches_the_decoder(content, monkeypatch):
    monkeypatch.setattr("providers.images.open_picture", lambda *_: pytest.fail("the decoder was asked"))
    with pytest.raises(InvalidImage):
        read(content)


def test_many_scans_over_many_pixels_are_refused_and_a_usual_progressive_picture_is_not():
    progressive = saved(noise(), "JPEG", progressive=True)
    assert read(progressive).pixels.shape == (64, 96, 3)
    start = progressive.index(b"\xff\xc2")
    large = progressive[: start + 5] + struct.pack(">HH", 8600, 8600) + progressive[start + 9 :]
    scan = b"\xff\xda\0\x08\1\1\0\0\x3f\0"
    with pytest.raises(InvalidImage, match="scans"):
        read(large[:-2] + scan * 10 + b"\xff\xd9")


def test_scans_are_counted_in_the_picture_and_not_in_what_follows_it():
    film = bytes(8) + b"\xff\xda\0\2" * 200  # a phone's moving picture has such bytes by chance
    assert read(saved(noise(), "JPEG") + film).pixels.shape == (64, 96, 3)


BOMBS = {
    "zTXt": chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(50_000_000), 9)),
    "iTXt": chunk(b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(bytes(50_000_000), 9)),
    "iCCP": chunk(b"iCCP", b"icc\0\0" + zlib.compress(bytes(50_000_000), 9)),
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_compressed_chunk_is_not_blown_up(bomb):
    with pytest.raises(InvalidImage, match="too large"):
        read(png(1, 1, 8, 0, b"\0\0", before=bomb))
    with pytest.raises(InvalidImage, match="too large"):
        _ = read(png(1, 1, 8, 0, b"\0\0", after=BOMBS["zTXt"])).pixels


# --- cut short, changed, continued ---

WHOLE = {
    "jpeg": saved(noise(), "JPEG", quality=90),
    "progressive jpeg": saved(noise(), "JPEG", quality=90, progressive=True),
    "png": saved(noise(), "PNG"),
    "palette png": saved(noise().quantize(64), "PNG"),
    "webp": saved(noise(), "WEBP", quality=80),
    "lossless webp": saved(noise(), "WEBP", lossless=True),
    "webp with alpha": saved(noise().convert("RGBA"), "WEBP"),
    "gif": saved(noise(), "GIF"),
    "bmp": saved(noise(), "BMP"),
    "tiff": saved(noise(), "TIFF"),
    "compressed tiff": saved(noise(), "TIFF", compression="tiff_lzw"),
}


@pytest.mark.parametrize("content", WHOLE.values(), ids=WHOLE)
def test_a_file_cut_short_is_refused_or_has_every_pixel(content):
    whole = read(content).pixels
    cuts = {*range(0, len(content), max(1, len(content) // 60)), *range(max(len(content) - 40, 0), len(content))}
    refused = 0
    for cut in cuts:
        try:
            np.testing.assert_array_equal(read(content[:cut]).pixels, whole, err_msg=f"cut at {cut} of {len(content)}")
        except (InvalidImage, UnsupportedFormat):
            refused += 1
    assert refused > len(cuts) // 2


def test_a_jpeg_without_its_end_marker_is_refused_before_decoding():
    with pytest.raises(InvalidImage, match="end marker"):
        read(WHOLE["jpeg"][:-2])


def test_pillow_is_not_told_to_make_up_missing_pixels():
    assert PIL.ImageFile.LOAD_TRUNCATED_IMAGES is False


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "BMP"])
def test_what_follows_the_picture_is_neither_seen_nor_sent(image_format):
    content = saved(corners(), image_format)
    image = read(content + TRAILER)
    np.testing.assert_array_equal(image.pixels, read(content).pixels)
    assert b"secret" not in image.encoded(*CLOUD)


def flipped(content: bytes, dice: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(dice.choice((1, 1, 2, 8))):
        # the first bytes decide most
        changed[dice.randrange(len(changed) if dice.random() < 0.5 else min(len(changed), 200))] = dice.randrange(256)
    return bytes(changed)


def fuzz(rounds: int) -> None:
    dice = random.Random(20)
    limits = ImageLimits(pixels_max=1_000_000, formats=ALL_FORMATS)
    seeds = [
        *WHOLE.values(),
        saved(RED, "MPO", save_all=True, append_images=[BLUE]),
        ycck(1, 2, 3),
        saved(RED, "PNG", icc_profile=DISPLAY_P3),
    ]
    seeds += [saved(corners(), "JPEG", exif=exif(6, gps=True), icc_profile=DISPLAY_P3)]
    for _ in range(rounds):
        content = flipped(dice.choice(seeds), dice)
        try:
            image = read(content, limits)
            assert image.pixels.shape == (image.height, image.width, 3) or max(image.height, image.width) > 1664
            assert read(image.encoded(*CLOUD)).format in {"jpeg", "png"}
            assert len(image.pixels_digest) == 64
        except ImageError:
            pass


def test_changed_bytes_give_an_answer_or_an_image_error():
    fuzz(400)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ten_thousand_changes_give_an_answer_or_an_image_error():
    fuzz(10_000)
