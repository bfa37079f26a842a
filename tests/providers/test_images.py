import hashlib
import random
import resource
import struct
import subprocess
import sys
import textwrap
import threading
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageFile
import PIL.ImageOps
import pytest

from providers.images import Image, ImageError, ImageLimits, ImageTooLarge, InvalidImage, UnsupportedFormat, read_image
from tests.providers.pictures import ALL_FORMATS, DISPLAY_P3, SRGB, chunk, corners, exif, noise, png, saved

ROOT = Path(__file__).parents[2]
EVERYTHING = ImageLimits(formats=ALL_FORMATS)
CLOUD = (frozenset({"jpeg", "png"}), 5 * 1024 * 1024, 10_000)
"""What Rekognition takes."""

# Pillow warns of damaged metadata; a server does not stop for it.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")


def read(content: bytes, limits: ImageLimits = EVERYTHING) -> Image:
    return read_image(content, limits)


def in_subprocess(code: str, *, address_space: int | None = None) -> str:
    def limit() -> None:
        if address_space:
            resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, capture_output=True, text=True, preexec_fn=limit, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


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


# --- colours ---

G16 = np.array([[0, 200, 1000, 32_768, 63_000, 65_535]], np.uint16)
G16_SCALED = [0, 1, 4, 128, 245, 255]
TRANSLUCENT = PIL.Image.new("RGBA", (8, 8), (255, 0, 0, 128))
CLEAR_PALETTE = PIL.Image.new("P", (8, 8), 1)
CLEAR_PALETTE.putpalette([9, 9, 9, 0, 200, 0])
ADOBE = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0"


def without_adobe(jpeg: bytes) -> bytes:
    at = jpeg.index(b"\xff\xee")
    return jpeg[:at] + jpeg[at + 16 :]


def ycck(red: int, green: int, blue: int) -> bytes:
    """Adobe's YCCK: the inks, inverted, stored as a YCbCr picture of them with K beside it."""
    y, cb, cr = PIL.Image.new("RGB", (8, 8), (255 - red, 255 - green, 255 - blue)).convert("YCbCr").split()
    stored = PIL.Image.merge("CMYK", [*(PIL.ImageOps.invert(band) for band in (y, cb, cr)), PIL.Image.new("L", (8, 8), 0)])
    jpeg = saved(stored, "JPEG", quality=100, subsampling=0)
    at = jpeg.index(b"\xff\xee")
    return jpeg[: at + 15] + b"\x02" + jpeg[at + 16 :]


COLOURS = {
    "RGB": (saved(PIL.Image.new("RGB", (8, 8), (10, 200, 30)), "PNG"), [10, 200, 30]),
    "grey": (saved(PIL.Image.new("L", (8, 8), 77), "PNG"), [77] * 3),
    "1-bit white": (saved(PIL.Image.new("1", (8, 8), 1), "PNG"), [255] * 3),
    "1-bit black": (saved(PIL.Image.new("1", (8, 8), 0), "TIFF"), [0] * 3),
    "RGBA on white": (saved(TRANSLUCENT, "PNG"), [255, 127, 127]),
    "RGBA WebP": (saved(TRANSLUCENT, "WEBP", lossless=True, exact=True), [255, 127, 127]),
    "RGBA TIFF": (saved(TRANSLUCENT, "TIFF"), [255, 127, 127]),
    "LA, clear": (saved(PIL.Image.new("LA", (8, 8), (0, 0)), "PNG"), [255] * 3),
    "palette": (saved(CLEAR_PALETTE, "PNG"), [0, 200, 0]),
    "palette with a clear colour": (saved(CLEAR_PALETTE, "PNG", transparency=1), [255] * 3),
    "palette with half clear colours": (saved(CLEAR_PALETTE, "PNG", transparency=b"\xff\x80"), [127, 227, 127]),
    "GIF with a clear colour": (saved(CLEAR_PALETTE, "GIF", transparency=1), [255] * 3),
    "RGB with a clear colour": (png(1, 1, 8, 2, b"\0\1\2\3", before=chunk(b"tRNS", b"\0\1\0\2\0\3")), [255] * 3),
    "16-bit grey with a clear grey": (png(1, 1, 16, 0, b"\0\3\xe8", before=chunk(b"tRNS", b"\3\xe8")), [255] * 3),
    "16-bit RGB": (png(1, 1, 16, 2, b"\0" + struct.pack(">3H", 200, 32_768, 65_535)), [0, 128, 255]),
    "16-bit RGBA": (png(1, 1, 16, 6, b"\0" + struct.pack(">4H", 200, 32_768, 65_535, 65_535)), [0, 128, 255]),
    "CMYK TIFF": (saved(PIL.Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "TIFF"), [0, 255, 255]),
    "CMYK JPEG, inverted by Adobe": (saved(PIL.Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "JPEG", quality=100), [0, 255, 255]),
    "CMYK JPEG without a marker, inverted as nearly all are": (
        without_adobe(saved(PIL.Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "JPEG", quality=100)),
        [0, 255, 255],
    ),
    "YCCK JPEG": (ycck(10, 200, 30), [10, 200, 30]),
    "LAB TIFF": (saved(PIL.Image.new("LAB", (8, 8), (128, 128, 128)), "TIFF"), [119] * 3),
    "YCbCr TIFF": (saved(PIL.Image.new("RGB", (8, 8), (10, 200, 30)).convert("YCbCr"), "TIFF"), [10, 200, 30]),
    "sRGB profile": (saved(PIL.Image.new("RGB", (8, 8), (200, 100, 50)), "PNG", icc_profile=SRGB), [200, 100, 50]),
    "damaged profile": (saved(PIL.Image.new("RGB", (8, 8), (200, 100, 50)), "PNG", icc_profile=b"junk" * 50), [200, 100, 50]),
    "profile of other colours": (saved(PIL.Image.new("L", (8, 8), 77), "PNG", icc_profile=DISPLAY_P3), [77] * 3),
    "Display P3 grey": (saved(PIL.Image.new("RGB", (8, 8), (128, 128, 128)), "PNG", icc_profile=DISPLAY_P3), [129] * 3),
    "Display P3 red": (saved(PIL.Image.new("RGB", (8, 8), (200, 100, 50)), "WEBP", lossless=True, icc_profile=DISPLAY_P3), [222, 93, 24]),
}


@pytest.mark.parametrize(("content", "expected"), COLOURS.values(), ids=COLOURS)
def test_any_colours_come_out_as_rgb_on_white(content, expected):
    image = read(content)
    stored_exactly = image.format != "jpeg" and image.mode != "YCbCr"
    assert image.pixels.dtype == np.uint8
    assert np.abs(image.pixels.astype(int) - expected).max() <= (0 if stored_exactly else 3)


@pytest.mark.parametrize("image_format", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_and_not_clipped(image_format):
    assert read(saved(PIL.Image.fromarray(G16), image_format)).pixels[0, :, 0].tolist() == G16_SCALED


def test_colours_are_the_same_in_every_strip():
    picture = noise(64, 64).resize((2000, 1200), PIL.Image.Resampling.NEAREST).convert("RGBA")
    picture.putalpha(picture.getchannel(0))
    white = PIL.Image.new("RGBA", picture.size, "white")
    expected = np.asarray(PIL.Image.alpha_composite(white, picture).convert("RGB"))
    with_one = read(saved(picture, "PNG", compress_level=1))
    assert with_one.pixels_digest == hashlib.sha256(b"2000x1200:" + expected.tobytes()).hexdigest()


# --- upright ---


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_every_orientation_comes_out_upright(orientation, image_format):
    lossless = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}.get(image_format, {})
    content = saved(corners(), image_format, exif=exif(orientation), **lossless)
    turned = PIL.Image.new("RGB", (48, 32))
    turned.paste(corners())
    turned.getexif()[0x0112] = orientation
    expected = np.asarray(PIL.ImageOps.exif_transpose(turned))
    image = read(content)
    assert (image.width, image.height) == ((48, 32) if orientation < 5 else (32, 48))
    assert np.abs(image.pixels.astype(int) - expected).max() <= 6
    sent = read(image.encoded(*CLOUD))
    assert (sent.orientation, sent.width, sent.height) == (1, image.width, image.height)
    assert np.abs(sent.pixels.astype(int)[3::8, 3::8] - expected[3::8, 3::8]).max() <= 25


def test_an_orientation_behind_the_pixels_of_a_png_counts():
    block = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
    rows = b"".join(b"\0" + bytes(6) for _ in range(4))
    assert (read(png(2, 4, 8, 2, rows, after=chunk(b"eXIf", block))).width) == 4


ODD_EXIF = {
    "orientation 9": exif(9).tobytes(),
    "orientation 0": exif(0).tobytes(),
    "junk": b"Exif\0\0" + b"\xff" * 200,
    "one byte": b"E",
    "huge": b"Exif\0\0" + bytes(65_000),
    "a loop": b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 0) + struct.pack(">I", 8),
}


@pytest.mark.parametrize("block", ODD_EXIF.values(), ids=ODD_EXIF)
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_odd_exif_is_no_reason_to_refuse_the_picture(block, image_format):
    image = read(saved(corners(), image_format, exif=block))
    assert (image.orientation, image.width) == (1, 48)


def test_no_pixel_is_decoded_to_read_a_header(monkeypatch):
    monkeypatch.setattr(PIL.ImageFile.ImageFile, "load", lambda _: pytest.fail("decoded"))
    for image_format in ("JPEG", "PNG", "GIF", "BMP", "TIFF"):
        read(saved(corners(), image_format))


# --- of several pictures the first ---

RED, BLUE = (PIL.Image.new("RGB", (32, 24), colour) for colour in ("red", "blue"))


@pytest.mark.parametrize(
    ("image_format", "options"),
    [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("PNG", {"default_image": True}), ("TIFF", {}), ("MPO", {})],
)
def test_of_several_pictures_the_first_counts(image_format, options):
    image = read(saved(RED, image_format, save_all=True, append_images=[BLUE, BLUE], **options))
    for seen in (image, read(image.encoded(*CLOUD))):
        assert np.abs(seen.pixels.astype(int) - [255, 0, 0]).max() <= 3


def test_a_phones_multi_picture_jpeg_is_a_jpeg_even_with_a_damaged_index():
    content = saved(RED, "MPO", save_all=True, append_images=[BLUE])
    at = content.index(b"MPF\0")
    for image in (read(content), read(content[: at + 8] + b"\xff" * 16 + content[at + 24 :])):
        assert image.format == "jpeg"
        assert image.pixels.shape == (24, 32, 3)
        assert image.encoded(*CLOUD).count(b"\xff\xd8") == 1


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


TRAILER = b"\x00\x00secret notes of the maker" + bytes(range(256))


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


# --- large pictures ---


def test_large_pictures_are_scaled_down_but_not_below_twice_the_models_input():
    for image_format in ("JPEG", "PNG"):
        image = read(saved(corners(4000, 2000), image_format))
        height, width, _ = image.pixels.shape
        assert (image.width, image.height) == (4000, 2000)
        assert 832 <= max(width, height) <= 1664 + 8
        assert abs(width / height - 2) < 0.02
        assert np.abs(image.pixels[5, 5].astype(int) - [255, 0, 0]).max() <= 3


def test_many_large_uploads_at_once_take_turns_with_the_memory():
    grown_mb = int(
        in_subprocess(
            """
            import io, resource, threading
            import PIL.Image
            from providers.images import ImageLimits, read_image

            out = io.BytesIO()
            PIL.Image.new("RGB", (5000, 4000), "green").save(out, "PNG", compress_level=1)
            read_image(out.getvalue(), ImageLimits()).pixels
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            images = [read_image(out.getvalue(), ImageLimits()) for _ in range(12)]
            threads = [threading.Thread(target=lambda image=image: image.pixels) for image in images]
            [thread.start() for thread in threads]
            [thread.join() for thread in threads]
            print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
            """
        )
    )
    assert grown_mb < 350  # twelve at once are 12 x 80 MB; two fit through the gate, and what they took goes back


def test_a_picture_is_decoded_once_for_all_threads(monkeypatch):
    decodes = []
    prepare = PIL.ImageFile.ImageFile.load_prepare
    monkeypatch.setattr(PIL.ImageFile.ImageFile, "load_prepare", lambda self: (decodes.append(1), prepare(self))[1])
    image = read(saved(noise(600, 600), "PNG"))
    seen: list[object] = []
    threads = [threading.Thread(target=lambda: seen.append(image.pixels)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(decodes) == 1
    assert len({id(pixels) for pixels in seen}) == 1
    assert not image.pixels.flags.writeable


# --- digests ---

DIGESTS_ALIKE = {
    "another container": saved(noise(), "WEBP", lossless=True),
    "another compression": saved(noise(), "PNG", compress_level=1),
    "uncompressed": saved(noise(), "BMP"),
    "other metadata": saved(noise(), "PNG", exif=exif(1, gps=True)),
    "turned, with EXIF that turns it back": saved(noise().transpose(PIL.Image.Transpose.ROTATE_90), "PNG", exif=exif(6)),
    "opaque alpha": saved(noise().convert("RGBA"), "PNG"),
    "an sRGB profile": saved(noise(), "PNG", icc_profile=SRGB),
}
DIGESTS_OTHER = {
    "other pixels": saved(noise(seed=1), "PNG"),
    "mirrored": saved(PIL.ImageOps.mirror(noise()), "PNG"),
    "turned by EXIF": saved(noise(), "PNG", exif=exif(3)),
    "another shape of the same bytes": saved(PIL.Image.frombytes("RGB", (64, 96), noise().tobytes()), "PNG"),
    "other colours by profile": saved(noise(), "PNG", icc_profile=DISPLAY_P3),
}


@pytest.mark.parametrize("content", DIGESTS_ALIKE.values(), ids=DIGESTS_ALIKE)
def test_the_same_picture_has_the_same_pixels_digest(content):
    plain = saved(noise(), "PNG")
    assert read(content).pixels_digest == read(plain).pixels_digest
    assert read(content).digest == hashlib.sha256(content).hexdigest()
    assert content == plain or read(content).digest != read(plain).digest


@pytest.mark.parametrize("content", DIGESTS_OTHER.values(), ids=DIGESTS_OTHER)
def test_another_picture_has_another_pixels_digest(content):
    assert read(content).pixels_digest != read(saved(noise(), "PNG")).pixels_digest


# --- for a provider ---

UNTOUCHED = {
    "jpeg": saved(noise(), "JPEG", exif=exif(1, gps=True), comment="SecretComment", icc_profile=SRGB),
    "grey jpeg": saved(noise().convert("L"), "JPEG", comment="SecretComment"),
    "progressive jpeg": saved(noise(), "JPEG", progressive=True, exif=exif(1, gps=True)),
    "jpeg of RGB, by Adobe's marker": saved(noise(), "JPEG", keep_rgb=True),
    "png": saved(noise(), "PNG", exif=exif(1, gps=True)),
    "grey png": saved(noise().convert("L"), "PNG"),
}


@pytest.mark.parametrize("content", UNTOUCHED.values(), ids=UNTOUCHED)
def test_a_picture_that_fits_goes_out_pixel_by_pixel_and_bare(content):
    image = read(content + TRAILER)
    sent = image.encoded(*CLOUD)
    assert len(sent) < len(image.content)
    np.testing.assert_array_equal(read(sent).pixels, image.pixels)
    assert not any(word in sent for word in (b"Secret", b"Exif", b"eXIf", b"secret", b"ICC_PROFILE"))
    assert read(sent).encoded(*CLOUD) == sent == read(content).encoded(*CLOUD)


REENCODED = {
    "turned": saved(corners(), "JPEG", exif=exif(6, gps=True), comment="SecretComment"),
    "webp": saved(corners(), "WEBP", exif=exif(1, gps=True)),
    "gif": saved(corners(), "GIF", comment=b"SecretComment"),
    "alpha": saved(corners().convert("RGBA"), "PNG", exif=exif(1, gps=True)),
    "a clear colour": saved(corners(), "PNG", transparency=(255, 0, 0)),
    "cmyk": saved(corners().convert("CMYK"), "JPEG", comment="SecretComment"),
    "another colour space": saved(corners(), "JPEG", icc_profile=DISPLAY_P3, comment="SecretComment"),
}


@pytest.mark.parametrize("content", REENCODED.values(), ids=REENCODED)
def test_a_picture_that_does_not_fit_goes_out_as_a_bare_jpeg_of_what_we_see(content):
    image = read(content)
    sent = image.encoded(*CLOUD)
    assert read(sent).format == "jpeg"
    assert read(sent).plain
    assert not any(word in sent for word in (b"Secret", b"Exif", b"ICC_PROFILE"))
    difference = np.abs(read(sent).pixels.astype(int) - image.pixels)
    assert np.median(difference) <= 4
    assert image.encoded(*CLOUD) == sent


@pytest.mark.parametrize(
    ("bytes_max", "side_max"), [(5_000_000, 500), (100_000, 10_000), (20_000, 10_000), (5_000, 10_000), (700, 10_000), (5_000_000, 1)]
)
@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
def test_bytes_and_sides_are_kept_to(bytes_max, side_max, image_format):
    sent = read(saved(noise(900, 600), image_format)).encoded(frozenset({"jpeg", "png"}), bytes_max, side_max)
    assert len(sent) <= bytes_max
    assert max(read(sent).width, read(sent).height) <= side_max


def test_a_limit_that_no_picture_keeps_is_an_error_and_not_an_endless_search():
    with pytest.raises(ImageTooLarge):
        read(saved(noise(), "JPEG")).encoded(frozenset({"jpeg"}), 10, 1000)


def test_a_damaged_picture_is_never_encoded():
    content = saved(noise(), "WEBP")
    with pytest.raises(InvalidImage):
        read(content[:-500]).encoded(*CLOUD)
