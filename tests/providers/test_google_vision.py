import io

import PIL.Image
import pytest
from google.protobuf import json_format

from providers import registry
from providers.contract import BadEnvironment, Usage
from providers.errors import (
    ImageRefused,
    ProviderError,
    ProviderFailed,
    ProviderMisconfigured,
    ProviderOverloaded,
    ProviderProtocolError,
    ProviderThrottled,
    ProviderTimeout,
    ProviderUnreachable,
)
from providers.google_vision import CONTENT_BYTES_MAX
from tests.clouds import google_vision
from tests.clouds.proxy import Proxy
from tests.providers.conftest import ask, noise, outcomes_at_once, picture, recorded

# Every row of the table of statuses in the facts about the provider, and the errors of one picture: (outcome, maybe billed).
OUTCOMES: dict[str, tuple[type[ProviderError], bool]] = {
    "UNAVAILABLE": (ProviderFailed, True),
    "DEADLINE_EXCEEDED": (ProviderTimeout, True),
    "RESOURCE_EXHAUSTED": (ProviderThrottled, False),
    "INTERNAL": (ProviderFailed, True),
    "UNKNOWN": (ProviderFailed, True),
    "ABORTED": (ProviderFailed, True),
    "CANCELLED": (ProviderFailed, True),
    "DATA_LOSS": (ProviderFailed, True),
    "INVALID_ARGUMENT": (ImageRefused, False),
    "FAILED_PRECONDITION": (ImageRefused, False),
    "OUT_OF_RANGE": (ImageRefused, False),
    "UNIMPLEMENTED": (ProviderMisconfigured, False),
    "NOT_FOUND": (ProviderMisconfigured, False),
    "UNAUTHENTICATED": (ProviderMisconfigured, False),
    "PERMISSION_DENIED": (ProviderMisconfigured, False),
    "picture_3": (ImageRefused, True),
    "picture_3_large": (ImageRefused, True),
    "picture_4": (ProviderTimeout, True),
    "picture_8": (ProviderThrottled, True),
    "picture_13": (ProviderFailed, True),
    "picture_13_unexpected": (ProviderFailed, True),
    "picture_14": (ProviderFailed, True),
    "picture_99": (ProviderFailed, True),
    "hang": (ProviderTimeout, True),
} | dict.fromkeys(google_vision.NONSENSE, (ProviderProtocolError, True))


def test_the_table_names_everything_that_the_stand_in_can_do():
    assert OUTCOMES.keys() == {*google_vision.ERRORS, *google_vision.PICTURE_ERRORS, *google_vision.NONSENSE, "hang"}


@pytest.mark.parametrize("fault", OUTCOMES)
def test_every_error_is_translated_and_made_exactly_one_request(google, vision, fault):
    outcome, maybe_billed = OUTCOMES[fault]
    google.conduct.change(fault=fault)
    with pytest.raises(ProviderError) as caught:
        ask(vision, picture(), "objects", timeout_s=0.3 if fault == "hang" else 10)
    error = caught.value
    assert type(error) is outcome
    assert error.maybe_billed is maybe_billed
    assert error.maybe_billed or not google.bill.lines
    assert len(google.received) == 1
    assert error.retryable is (outcome is ProviderThrottled)
    assert error.opens_circuit is not isinstance(error, ProviderThrottled | ImageRefused)


def test_how_long_to_wait_is_read(google, vision):
    google.conduct.change(fault="RESOURCE_EXHAUSTED")
    with pytest.raises(ProviderThrottled) as caught:
        ask(vision, picture(), "objects")
    assert caught.value.retry_after_s == 3.0


def test_an_error_beside_an_answer_is_an_error(google, vision):
    google.answer.error.code = 13
    google.answer.localized_object_annotations.add(name="Cat", score=0.9)
    with pytest.raises(ProviderFailed):
        ask(vision, picture(), "objects")


SKUS = {
    "objects": "OBJECT_LOCALIZATION",
    "labels": "LABEL_DETECTION",
    "faces": "FACE_DETECTION",
    "text": "TEXT_DETECTION",
    "moderation": "SAFE_SEARCH_DETECTION",
}


@pytest.mark.parametrize("feature", SKUS)
def test_exactly_the_features_asked_for_are_sent_and_billed(google, vision, feature):
    (call,) = vision.calls(frozenset({feature}))
    assert call.usage == (Usage(SKUS[feature], 1),)
    vision.detect(picture(), call, 5.0)
    assert google.bill.units() == {SKUS[feature]: 1}


def test_all_features_are_one_request_and_a_unit_each(google, vision):
    (call,) = vision.calls(vision.features)
    assert {usage.sku: usage.units for usage in call.usage} == dict.fromkeys(SKUS.values(), 1)
    vision.detect(picture(), call, 5.0)
    assert len(google.received) == 1
    assert google.bill.units() == dict.fromkeys(SKUS.values(), 1)


def test_more_than_googles_ten_results_are_asked_for(google, vision):
    ask(vision, picture(), "objects")
    assert google.received[0].requests[0].features[0].max_results == 100


def test_pixels_refer_to_the_picture_that_was_sent(google, vision):
    json_format.ParseDict(recorded("gcv_faces_edenai"), google.answer)
    (face,) = ask(vision, picture(225, 225), "faces").detections
    assert face.box.x_max == pytest.approx(204 / 225)
    sideways = picture(450, 225, exif=_orientation(6))
    (face,) = ask(vision, sideways, "faces").detections
    assert face.box.y_max == pytest.approx(165 / 450)
    too_wide_for_a_jpeg = noise(70_000, 10)
    (face,) = ask(vision, too_wide_for_a_jpeg, "faces", timeout_s=20).detections
    assert face.box.x_max == pytest.approx(204 / 65_500)


def _orientation(value: int) -> PIL.Image.Exif:
    exif = PIL.Image.Exif()
    exif[0x0112] = value
    return exif


def test_too_many_bytes_are_made_fit(google, vision):
    large = noise(1600, 1500)
    assert len(large.content) > CONTENT_BYTES_MAX
    ask(vision, large, "objects", timeout_s=20)
    sent = google.received[0].requests[0].image.content
    assert len(sent) <= CONTENT_BYTES_MAX
    assert PIL.Image.open(io.BytesIO(sent)).size == (1600, 1500)


@pytest.mark.parametrize("image_format", ["WEBP", "GIF", "BMP", "TIFF"])
def test_other_formats_are_sent_as_jpeg(google, vision, image_format):
    ask(vision, picture(image_format=image_format), "objects")
    assert PIL.Image.open(io.BytesIO(google.received[0].requests[0].image.content)).format == "JPEG"


def test_a_picture_in_google_storage_goes_by_its_reference(google, vision):
    image = picture(reference="gs://holiday/beach.jpg")
    google.read_object = lambda uri: image.content if uri == "gs://holiday/beach.jpg" else None
    ask(vision, image, "objects")
    assert google.received[0].requests[0].image.source.gcs_image_uri == "gs://holiday/beach.jpg"
    assert not google.received[0].requests[0].image.content


def test_a_picture_in_google_storage_on_its_side_goes_as_bytes(google, vision):
    ask(vision, picture(reference="gs://holiday/beach.jpg", exif=_orientation(6)), "objects")
    assert google.received[0].requests[0].image.content


def test_a_bucket_that_google_cannot_read_is_not_referred_to_again(google, vision):
    image = picture(reference="gs://elsewhere/beach.jpg")
    with pytest.raises(ImageRefused):
        ask(vision, image, "objects")
    ask(vision, image, "objects")
    assert google.received[1].requests[0].image.content


def test_nobody_listening_was_sent_nothing_and_is_found_again_soon():
    gone = google_vision.StandIn()
    gone.close()
    provider = registry.build("google_vision", gone.environ)
    with pytest.raises(ProviderUnreachable) as caught:
        ask(provider, picture(), "objects")
    assert not caught.value.maybe_billed
    back = google_vision.StandIn(port=gone.port)
    for _ in range(50):  # its channel waits a moment before it connects again
        try:
            ask(provider, picture(), "objects")
        except ProviderUnreachable:
            back.conduct.stopped.wait(0.1)
        else:
            break
    assert back.bill.units() == {"OBJECT_LOCALIZATION": 1}
    provider.close()
    back.close()


@pytest.mark.parametrize(("toxic", "outcome"), [("dribble", ProviderTimeout), ("hang", ProviderTimeout), ("reset", ProviderFailed)])
def test_what_happens_on_the_wire(google, toxic, outcome):
    with Proxy(google.port, toxic) as proxy:
        provider = registry.build("google_vision", google.environ | {"GATEWAY_GOOGLE_VISION_ENDPOINT": f"127.0.0.1:{proxy.port}"})
        with pytest.raises(ProviderError) as caught:
            ask(provider, picture(), "objects", timeout_s=0.5 if outcome is ProviderTimeout else 10)
        assert type(caught.value) is outcome
        assert caught.value.maybe_billed
        provider.close()


def test_a_hanging_google_holds_its_own_threads_until_their_time_is_over(google, vision, aws):
    google.conduct.change(fault="hang")
    assert outcomes_at_once(vision, timeout_s=0.8) == {"ProviderTimeout", "ProviderOverloaded"}  # how many of each: test_bulkhead.py
    assert ask(aws, picture(), "objects")  # nobody else's were held
    google.conduct.change(fault="")
    assert ask(vision, picture(), "objects", timeout_s=10)  # and they came back


def test_without_credentials_nothing_is_sent(monkeypatch, tmp_path):
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    provider = registry.build("google_vision", {"GATEWAY_GOOGLE_VISION_ENDPOINT": "127.0.0.1:9"})
    with pytest.raises(ProviderMisconfigured) as caught:
        ask(provider, picture(), "objects")
    assert not caught.value.maybe_billed
    provider.close()


def test_rotated_credentials_are_read_without_a_restart(google):
    """The key's file is read when a client is made: whoever is refused gets a new one."""
    provider = registry.build("google_vision", google.environ)
    assert ask(provider, picture(), "objects")
    before = provider._client
    google.conduct.change(fault="UNAUTHENTICATED", fault_times=1)
    with pytest.raises(ProviderMisconfigured):
        ask(provider, picture(), "objects")
    assert ask(provider, picture(), "objects")
    assert provider._client is not before
    provider.close()


def test_after_closing_nothing_is_sent(google):
    provider = registry.build("google_vision", google.environ)
    provider.close()
    with pytest.raises(ProviderOverloaded):
        ask(provider, picture(), "objects")
    assert not google.received


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"GATEWAY_GOOGLE_VISION_ENDPOINT": "vision.googleapis.com"}, "ENDPOINT"),
        ({"GATEWAY_GOOGLE_VISION_ENDPOINT": "https://vision.googleapis.com:443"}, "ENDPOINT"),
        ({"GATEWAY_GOOGLE_VISION_ENDPOINT": "vision.googleapis.com:99999"}, "ENDPOINT"),
        ({"GATEWAY_GOOGLE_VISION_INSECURE": "perhaps"}, "INSECURE"),
        ({"GATEWAY_GOOGLE_VISION_INSECURE": "true"}, "INSECURE"),
        ({"GATEWAY_GOOGLE_VISION_INSECURE": "true", "GATEWAY_GOOGLE_VISION_ENDPOINT": "10.0.0.7:8080"}, "INSECURE"),
        ({"GATEWAY_GOOGLE_VISION_INSECURE": "true", "GATEWAY_GOOGLE_VISION_ENDPOINT": "127.0.0.1.example.com:8080"}, "INSECURE"),
        ({"GATEWAY_GOOGLE_VISION_TIMEOUT": "3"}, "GATEWAY_GOOGLE_VISION_TIMEOUT"),
        ({"GOOGLE_APPLICATION_CREDENTIALS": "/nowhere/key.json"}, "GOOGLE_APPLICATION_CREDENTIALS"),
    ],
)
def test_wrong_settings_are_named(environ, named):
    with pytest.raises(BadEnvironment, match=named):
        registry.build("google_vision", environ)


@pytest.mark.parametrize("endpoint", ["127.0.0.1:1", "127.8.8.8:1", "localhost:1", "[::1]:1"])
def test_plaintext_goes_to_this_machine(endpoint):
    registry.build("google_vision", {"GATEWAY_GOOGLE_VISION_INSECURE": "TRUE", "GATEWAY_GOOGLE_VISION_ENDPOINT": endpoint}).close()
