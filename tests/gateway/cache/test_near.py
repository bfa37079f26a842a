"""Pictures that look the same, and pictures that must not be taken for each other."""

import io

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageEnhance
import PIL.ImageOps
import pytest

from gateway.cache.near import look_of
from gateway.cache.store import MemoryStore
from gateway.errors import InvalidParameter
from gateway.wire.options import NEAR_MAX, Options
from providers.images import ImageLimits, read_image
from tests.conftest import PHOTOS
from tests.gateway.toys import Toy, ask

PHOTO = PIL.Image.open(PHOTOS / "000000000471.jpg").convert("RGB")
OTHERS = sorted(PHOTOS.glob("*.jpg"))


def image_of(picture, kind="PNG", **how):
    out = io.BytesIO()
    picture.save(out, kind, **how)
    return read_image(out.getvalue(), ImageLimits())


def with_a_thing(picture, side):
    changed = picture.copy()
    left, top = picture.width // 5, picture.height // 5
    PIL.ImageDraw.Draw(changed).rectangle((left, top, left + side, top + side), fill=(230, 30, 30))
    return changed


def page(words):
    paper = PIL.Image.new("RGB", (400, 500), "white")
    PIL.ImageDraw.Draw(paper).text((40, 60), words, fill="black")
    return paper


SAME = {
    "saved with loss": image_of(PHOTO, "JPEG", quality=75),
    "saved with more loss": image_of(PHOTO, "JPEG", quality=40),
    "as WebP": image_of(PHOTO, "WEBP", quality=80),
    "smaller": image_of(PHOTO.resize((PHOTO.width // 2, PHOTO.height // 2)), "JPEG", quality=85),
    "larger": image_of(PHOTO.resize((PHOTO.width * 3 // 2, PHOTO.height * 3 // 2))),
    "a line of pixels less": image_of(PHOTO.crop((0, 0, PHOTO.width - 1, PHOTO.height))),
}

OTHER = {
    "mirrored": image_of(PIL.ImageOps.mirror(PHOTO)),
    "upside down": image_of(PHOTO.rotate(180)),
    "on its side": image_of(PHOTO.transpose(PIL.Image.Transpose.ROTATE_90)),
    "squeezed": image_of(PHOTO.resize((PHOTO.height, PHOTO.height))),
    "cut to a part": image_of(PHOTO.crop((60, 40, PHOTO.width - 60, PHOTO.height - 40)).resize(PHOTO.size)),
    "brighter": image_of(PIL.ImageEnhance.Brightness(PHOTO).enhance(1.25)),
    "in grey": image_of(PIL.ImageOps.grayscale(PHOTO).convert("RGB")),
    "in other colours": image_of(PIL.Image.merge("RGB", PHOTO.split()[::-1])),
    "with a thing more": image_of(with_a_thing(PHOTO, PHOTO.height // 8)),
    "its negative": image_of(PIL.ImageOps.invert(PHOTO)),
}


@pytest.fixture
def dispatcher(toybox):
    return toybox.dispatcher(Toy("rekognition", features=("objects", "labels", "text")), store=MemoryStore(), deadline_ms=30_000)


@pytest.mark.parametrize("case", SAME)
def test_a_picture_that_looks_the_same_is_a_hit_for_who_asks_for_that_and_says_how_far_it_is(case, dispatcher):
    first = ask(dispatcher, image_of(PHOTO))
    outcome = ask(dispatcher, SAME[case], near=NEAR_MAX)
    assert (outcome.cache, str(outcome.cost)) == ("hit", "0")
    assert outcome.near.digest == first.image.digest
    assert 0 <= outcome.near.distance <= NEAR_MAX
    assert outcome.image.digest == SAME[case].digest


@pytest.mark.parametrize("case", OTHER)
def test_a_picture_that_looks_otherwise_is_asked_for(case, dispatcher):
    ask(dispatcher, image_of(PHOTO))
    outcome = ask(dispatcher, OTHER[case], near=NEAR_MAX)
    assert (outcome.cache, outcome.near) == ("miss", None)


def test_no_photograph_is_taken_for_another():
    looks = [look_of(read_image(path.read_bytes(), ImageLimits())) for path in OTHERS]
    assert not any(one.resembles(other) for one in looks for other in looks if one is not other)


@pytest.mark.parametrize("nothing", [page("one invoice"), page("another"), PIL.Image.new("RGB", (200, 200), "navy")], ids=["", "", ""])
def test_plain_pictures_look_like_nothing(nothing):
    assert look_of(image_of(nothing)) is None


def test_noise_does_not_look_like_other_noise(dispatcher):
    noise = [PIL.Image.fromarray(np.random.default_rng(seed).integers(0, 256, (24, 24, 3), np.uint8)) for seed in range(2)]
    ask(dispatcher, image_of(noise[0]), near=7)
    assert ask(dispatcher, image_of(noise[1]), near=7).cache == "miss"


def test_it_is_off_by_default_and_what_it_gave_serves_nobody_else(dispatcher):
    ask(dispatcher, image_of(PHOTO))
    similar = SAME["saved with loss"]
    assert ask(dispatcher, similar, near=7).cache == "hit"
    assert ask(dispatcher, similar).cache == "miss"
    again = ask(dispatcher, similar, near=7)
    assert (again.cache, again.near) == ("hit", None), "now it is known itself"


def test_another_client_and_other_features_are_another_matter(dispatcher):
    ask(dispatcher, image_of(PHOTO))
    similar = SAME["as WebP"]
    assert ask(dispatcher, similar, near=7, client="another").cache == "miss"
    assert ask(dispatcher, SAME["smaller"], near=7, features=("objects", "labels")).cache == "miss"


@pytest.mark.parametrize("features", ["text", "objects,faces", "moderation"])
def test_what_a_glance_can_not_tell_is_refused(features):
    with pytest.raises(InvalidParameter, match="too small for a glance"):
        Options.read({"near": "3", "features": features})


@pytest.mark.parametrize("near", ["-1", "8", "yes"])
def test_a_distance_is_a_number_from_nought_to_seven(near):
    with pytest.raises(InvalidParameter, match="near"):
        Options.read({"near": near})
