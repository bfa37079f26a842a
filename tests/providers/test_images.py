import hashlib
import struct
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import PIL.Image
import PIL.ImageFile
import PIL.ImageOps
import pytest

from providers import colours
from providers.images import ImageTooLarge, InvalidImage
from tests.providers.pictures import (
    BLUE,
    CLOUD,
    DISPLAY_P3,
    RED,
    SRGB,
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


def test_a_profile_is_worked_out_once_and_threads_share_it():
    photo = saved(noise(), "PNG", icc_profile=DISPLAY_P3)
    alone = read(photo).pixels
    colours._left.cache_clear()
    with ThreadPoolExecutor(8) as threads:
        assert all(np.array_equal(alone, seen) for seen in threads.map(lambda _: read(photo).pixels, range(64)))
    assert colours._left.cache_info().currsize == 1


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
