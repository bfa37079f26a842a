import io

import PIL.Image
import pytest
import sqlalchemy as sa

from gateway.experiments.schema import kept_pictures
from gateway.pictures import KeptPictures, small_jpeg
from providers.images import ImageLimits, read_image
from tests.gateway.toys import jpeg


@pytest.fixture
def kept(toybox):
    return KeptPictures(toybox.database, days=2)


def age(toybox, days):
    with toybox.database.begin() as connection:
        connection.execute(sa.update(kept_pictures).values(kept_at_us=kept_pictures.c.kept_at_us - int(days * 86_400_000_000)))


def test_a_picture_is_gone_once_its_days_are_over_even_before_it_is_deleted(toybox, kept):
    kept.keep({"a": b"one"})
    age(toybox, 1.9)
    kept.keep({"b": b"two"})
    assert kept.known(["a", "b", "c"]) == {"a", "b"}
    age(toybox, 0.2)
    assert (kept.get("a"), kept.get("b")) == (None, b"two")
    assert kept.expire() == 1
    assert kept.delete("a") is False


def test_a_picture_that_comes_again_is_kept_from_then_on(toybox, kept):
    kept.keep({"a": b"one"})
    age(toybox, 1.9)
    kept.keep({"a": b"one"})
    age(toybox, 1.9)
    assert kept.get("a") == b"one"


def test_turned_off_nothing_is_kept_and_nothing_shown(toybox, kept):
    kept.keep({"a": b"one"})
    off = KeptPictures(toybox.database, days=0)
    off.keep({"b": b"two"})
    assert off.known(["a", "b"]) == set()
    assert off.get("a") is None
    assert off.expire() == 1


def test_what_is_kept_is_small_upright_and_without_metadata():
    out = io.BytesIO()
    picture = PIL.Image.open(io.BytesIO(jpeg(3000, 2000)))
    exif = PIL.Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "taken at home"
    picture.save(out, "JPEG", exif=exif)
    small = small_jpeg(read_image(out.getvalue(), ImageLimits()))
    seen = PIL.Image.open(io.BytesIO(small))
    assert max(seen.size) <= 1024
    assert seen.width < seen.height
    assert not seen.getexif()
    assert b"taken at home" not in small
