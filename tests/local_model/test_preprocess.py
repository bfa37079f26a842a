import io

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_model.preprocess import BadPicture, decoded, letterbox

sizes = st.integers(1, 900)


@given(sizes, sizes)
def test_the_longer_side_fills_the_square_and_the_rest_is_zero(height, width):
    square = letterbox(np.full((height, width, 3), 200, np.uint8), 416)
    assert square.pixels.shape == (416, 416, 3)
    assert max(square.width, square.height) == 416
    assert (square.pixels[: square.height, : square.width] == 200).all()
    assert square.pixels[square.height :].sum() == square.pixels[:, square.width :].sum() == 0


@given(sizes, sizes)
def test_the_shape_is_kept_to_a_pixel(height, width):
    square = letterbox(np.zeros((height, width, 3), np.uint8), 416)
    scale = 416 / max(height, width)
    assert abs(square.width - width * scale) <= 1
    assert abs(square.height - height * scale) <= 1


def test_channels_are_turned_around_unless_told_otherwise():
    red = np.zeros((10, 10, 3), np.uint8)
    red[..., 0] = 255
    assert letterbox(red, 8).pixels[0, 0].tolist() == [0, 0, 255]
    assert letterbox(red, 8, bgr=False).pixels[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.float32),
    ],
    ids=lambda picture: f"{picture.shape}-{picture.dtype}",
)
def test_what_is_no_rgb_picture_is_refused_with_a_sentence(picture):
    with pytest.raises(BadPicture, match="height, width, 3"):
        letterbox(picture, 416)


def test_no_memory_for_a_picture_is_no_fault_of_the_picture(monkeypatch):
    def no_memory(*_, **__):
        raise MemoryError

    monkeypatch.setattr(PIL.Image, "open", no_memory)
    with pytest.raises(MemoryError):
        decoded(b"\xff\xd8\xff")


def test_a_large_jpeg_is_decoded_no_larger_than_is_looked_at():
    out = io.BytesIO()
    PIL.Image.new("RGB", (4000, 3000)).save(out, "JPEG")
    height, width, _ = decoded(out.getvalue()).shape
    assert 832 <= width <= 1664
    assert abs(width / height - 4 / 3) < 0.01


def test_it_is_scaled_as_pillow_would():
    picture = np.random.default_rng(3).integers(0, 256, (333, 500, 3), np.uint8)
    square = letterbox(picture, 416, bgr=False)
    pillow = np.asarray(PIL.Image.fromarray(picture).resize((square.width, square.height), PIL.Image.Resampling.BILINEAR))
    differences = np.abs(square.pixels[: square.height, : square.width].astype(int) - pillow)
    assert differences.max() <= 2
    assert differences.mean() < 0.5


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_an_encoded_picture_has_its_channels_in_the_order_that_is_asked_for(mode):
    out = io.BytesIO()
    PIL.Image.new("RGB", (2, 3), (250, 100, 10)).convert(mode).save(out, "PNG")
    rgb, bgr = decoded(out.getvalue()), decoded(out.getvalue(), bgr=True)
    assert rgb.shape == (3, 2, 3)
    assert (rgb[..., ::-1] == bgr).all()
    assert mode == "L" or rgb[0, 0].tolist() == [250, 100, 10]


def test_a_picture_that_may_not_be_written_to_or_lies_backwards_is_taken():
    picture = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    picture.flags.writeable = False
    assert (letterbox(picture[::-1], 6).pixels[:4] == picture[::-1, :, ::-1]).all()
