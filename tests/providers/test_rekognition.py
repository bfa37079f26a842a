import dataclasses
import io

import PIL.Image
import pytest
from botocore.exceptions import ClientError

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
from providers.rekognition import CONTENT_BYTES_MAX, translated
from tests.clouds import rekognition, web
from tests.providers.conftest import ask, noise, outcomes_at_once, picture, recorded

# Every row of the table of errors in the facts about the provider: what it is to the gateway.
OUTCOMES: dict[str, type[ProviderError]] = {
    "ThrottlingException": ProviderThrottled,
    "ThrottlingException500": ProviderThrottled,
    "ProvisionedThroughputExceededException": ProviderThrottled,
    "429": ProviderThrottled,
    "InternalServerError": ProviderFailed,
    "UnheardOfFailure": ProviderFailed,
    "UnheardOfException": ProviderFailed,
    "502": ProviderFailed,
    "503": ProviderFailed,
    "504": ProviderFailed,
    "reset": ProviderFailed,
    "close": ProviderFailed,
    "LimitExceededException": ProviderMisconfigured,
    "AccessDeniedException": ProviderMisconfigured,
    "AccessDeniedException403": ProviderMisconfigured,
    "ExpiredTokenException": ProviderMisconfigured,
    "UnrecognizedClientException": ProviderMisconfigured,
    "InvalidSignatureException": ProviderMisconfigured,
    "RequestTimeTooSkewed": ProviderMisconfigured,
    "MissingAuthenticationTokenException": ProviderMisconfigured,
    "HumanLoopQuotaExceededException": ProviderMisconfigured,
    "ResourceNotFoundException": ProviderMisconfigured,
    "ResourceNotReadyException": ProviderMisconfigured,
    "403": ProviderMisconfigured,
    "ImageTooLargeException": ImageRefused,
    "InvalidImageFormatException": ImageRefused,
    "InvalidParameterException": ImageRefused,
    "InvalidS3ObjectException": ImageRefused,
    "ValidationException": ImageRefused,
    "413": ImageRefused,
    "hang": ProviderTimeout,
    "hang_in_body": ProviderTimeout,
    "dribble": ProviderTimeout,
    "dribble_head": ProviderTimeout,
    "truncated": ProviderProtocolError,
    "html": ProviderProtocolError,
    "empty": ProviderProtocolError,
    "braces": ProviderProtocolError,
    "list": ProviderProtocolError,
    "null": ProviderProtocolError,
    "huge": ProviderProtocolError,
} | dict.fromkeys(rekognition.NONSENSE, ProviderProtocolError)

NOT_BILLED = (ProviderThrottled, ProviderMisconfigured, ImageRefused)
"""Refused before the picture was looked at."""


def test_the_table_names_everything_that_the_stand_in_can_do():
    assert OUTCOMES.keys() == {*rekognition.ERRORS, *rekognition.PLAIN_ERRORS, *rekognition.NONSENSE, *web.WIRE_FAULTS}


@pytest.mark.parametrize(("fault", "outcome"), OUTCOMES.items())
def test_every_error_is_translated_and_made_exactly_one_request(amazon, aws, fault, outcome):
    amazon.answers["DetectFaces"] = recorded("aws_faces_edenai")
    amazon.conduct.change(fault=fault)
    with pytest.raises(ProviderError) as caught:
        ask(aws, picture(), "faces", timeout_s=0.3 if outcome is ProviderTimeout else 10)
    error = caught.value
    assert isinstance(error, outcome)
    assert error.code == outcome.code
    assert amazon.bill.requests.total() == 1
    assert error.maybe_billed is not isinstance(error, NOT_BILLED)
    # What the stand-in billed, the gateway must not believe to be free.
    assert error.maybe_billed or not amazon.bill.lines
    assert error.retryable is (outcome is ProviderThrottled)
    assert error.opens_circuit is not isinstance(error, ProviderThrottled | ImageRefused)


def test_a_recorded_error_is_translated():
    answer = recorded("aws_error_invalid_s3_object")
    error = translated(ClientError({"Error": answer["body"], "ResponseMetadata": {"HTTPStatusCode": 400}}, "DetectLabels"))
    assert type(error) is ImageRefused
    assert "object key, region" in str(error)


@pytest.mark.parametrize(("fault", "seconds"), [("ThrottlingException", 1.5), ("429", 7.0), ("InternalServerError", None)])
def test_how_long_to_wait_is_read(amazon, aws, fault, seconds):
    amazon.conduct.change(fault=fault)
    with pytest.raises(ProviderError) as caught:
        ask(aws, picture(), "objects")
    assert caught.value.retry_after_s == seconds


def test_the_providers_own_id_of_a_call_is_kept(amazon, aws):
    answer = ask(aws, picture(), "objects")
    assert answer.provider_request_id == amazon.bill.lines[0]["id"]
    amazon.conduct.change(fault="nan")
    amazon.answers["DetectFaces"] = recorded("aws_faces_edenai")
    with pytest.raises(ProviderProtocolError) as caught:
        ask(aws, picture(), "faces")
    assert caught.value.provider_request_id == amazon.bill.lines[-1]["id"]


def test_objects_and_labels_are_one_billed_call(amazon, aws):
    calls = aws.calls(frozenset({"objects", "labels", "faces"}))
    assert {call.features: call.usage for call in calls} == {
        frozenset({"objects", "labels"}): (Usage("DetectLabels", 1),),
        frozenset({"faces"}): (Usage("DetectFaces", 1),),
    }
    amazon.answers["DetectLabels"] = recorded("aws_labels_edenai_objects_png")
    answer = ask(aws, picture(), "objects", "labels")
    assert {detection.feature for detection in answer.detections} == {"objects", "labels"}
    assert amazon.bill.units() == {"DetectLabels": 1}


@pytest.mark.parametrize(
    ("feature", "operation"),
    [
        ("objects", "DetectLabels"),
        ("labels", "DetectLabels"),
        ("faces", "DetectFaces"),
        ("text", "DetectText"),
        ("moderation", "DetectModerationLabels"),
    ],
)
def test_what_is_billed_is_what_was_said_before(amazon, aws, feature, operation):
    (call,) = aws.calls(frozenset({feature}))
    assert call.usage == (Usage(operation, 1),)
    aws.detect(picture(), call, 5.0)
    assert amazon.bill.units() == {operation: 1}


def test_everything_is_asked_for_so_that_a_kept_answer_serves_every_threshold(amazon, aws):
    for call in aws.calls(aws.features):
        aws.detect(picture(), call, 5.0)
    asked = {request["operation"]: request for request in amazon.received}
    assert asked["DetectLabels"]["MinConfidence"] == 0
    assert asked["DetectModerationLabels"]["MinConfidence"] == 0
    assert asked["DetectFaces"]["Attributes"] == ["ALL"]


def test_a_picture_that_fits_is_sent_as_it_came_without_metadata(amazon, aws):
    exif = PIL.Image.Exif()
    exif[0x010E] = "taken at home"
    image = picture(exif=exif)
    ask(aws, image, "objects")
    sent = amazon.received[0]["Image"]["Bytes"]
    assert b"taken at home" in image.content
    assert b"taken at home" not in sent
    assert PIL.Image.open(io.BytesIO(sent)).tobytes() == PIL.Image.open(io.BytesIO(image.content)).tobytes()


@pytest.mark.parametrize("image_format", ["WEBP", "GIF", "BMP", "TIFF"])
def test_a_format_that_rekognition_does_not_take_is_made_fit(amazon, aws, image_format):
    ask(aws, picture(image_format=image_format), "objects")
    sent = PIL.Image.open(io.BytesIO(amazon.received[0]["Image"]["Bytes"]))
    assert (sent.format, sent.size) == ("JPEG", (320, 240))


def test_a_picture_on_its_side_is_sent_upright(amazon, aws):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    ask(aws, picture(exif=exif), "objects")
    assert PIL.Image.open(io.BytesIO(amazon.received[0]["Image"]["Bytes"])).size == (240, 320)


def test_too_many_bytes_and_too_long_a_side_are_made_fit(amazon, aws):
    large = noise(1400, 1400)
    assert len(large.content) > CONTENT_BYTES_MAX
    ask(aws, large, "objects", timeout_s=20)
    ask(aws, picture(11_000, 200), "objects", timeout_s=20)
    sent = [request["Image"]["Bytes"] for request in amazon.received]
    assert len(sent[0]) <= CONTENT_BYTES_MAX
    assert PIL.Image.open(io.BytesIO(sent[1])).size == (10_000, 182)


@pytest.mark.parametrize(
    ("size", "refused"), [((79, 300), True), ((80, 80), False), ((300, 79), True), ((20_000, 150), True), ((20_000, 160), False)]
)
def test_what_cannot_be_made_fit_is_said_before(aws, size, refused):
    why = aws.refusal(dataclasses.replace(picture(), width=size[0], height=size[1]), aws.features)
    assert (why is not None) is refused
    assert why is None or "80" in why


def test_a_picture_in_s3_goes_by_its_reference(amazon, aws):
    image = picture(reference="s3://holiday/2026/beach.jpg")
    amazon.read_object = lambda bucket, key, version: (
        image.content if (bucket, key, version) == ("holiday", "2026/beach.jpg", None) else None
    )
    ask(aws, image, "objects")
    assert amazon.received[0]["Image"] == {"S3Object": {"Bucket": "holiday", "Name": "2026/beach.jpg"}}


def test_the_very_version_that_was_read_is_referred_to(amazon, aws):
    image = picture(reference="s3://holiday/beach.jpg?versionId=v3")
    amazon.read_object = lambda bucket, key, version: image.content if version == "v3" else None
    ask(aws, image, "objects")
    assert amazon.received[0]["Image"]["S3Object"] == {"Bucket": "holiday", "Name": "beach.jpg", "Version": "v3"}


def test_a_picture_in_s3_that_would_be_seen_otherwise_goes_as_bytes(amazon, aws):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    for image in (
        picture(reference="s3://b/k", exif=exif),
        picture(reference="s3://b/k", image_format="WEBP"),
        picture(reference="gs://b/k"),
    ):
        ask(aws, image, "objects")
    assert all("Bytes" in request["Image"] for request in amazon.received)


def test_a_bucket_that_rekognition_cannot_read_is_not_referred_to_again(amazon, aws):
    image = picture(reference="s3://elsewhere/beach.jpg")
    with pytest.raises(ImageRefused) as caught:
        ask(aws, image, "objects")
    assert caught.value.retryable
    assert not caught.value.maybe_billed
    ask(aws, image, "objects")
    assert "Bytes" in amazon.received[1]["Image"]


def test_nobody_listening_was_sent_nothing(aws):
    gone = rekognition.StandIn()
    gone.close()
    provider = registry.build("rekognition", gone.environ)
    with pytest.raises(ProviderUnreachable) as caught:
        ask(provider, picture(), "objects")
    assert not caught.value.maybe_billed
    provider.close()


def test_without_credentials_nothing_is_sent(amazon, monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    environ = {name: value for name, value in amazon.environ.items() if "KEY" not in name}
    provider = registry.build("rekognition", environ)
    with pytest.raises(ProviderMisconfigured):
        ask(provider, picture(), "objects")
    assert not amazon.received
    provider.close()


def test_a_hanging_rekognition_holds_its_own_threads_until_their_time_is_over(amazon, aws, vision):
    amazon.conduct.change(fault="dribble")
    assert outcomes_at_once(aws, timeout_s=2.5) == {"ProviderTimeout", "ProviderOverloaded"}  # how many of each: test_bulkhead.py
    assert ask(vision, picture(), "objects")  # nobody else's were held
    amazon.conduct.change(fault="")
    assert ask(aws, picture(), "objects", timeout_s=10)  # and they came back


def test_after_closing_nothing_is_sent(amazon):
    provider = registry.build("rekognition", amazon.environ)
    provider.close()
    with pytest.raises(ProviderOverloaded):
        ask(provider, picture(), "objects")
    assert not amazon.received


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({}, "AWS_REGION"),
        ({"AWS_REGION": "no such region!"}, "AWS_REGION"),
        ({"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL_REKOGNITION": "localhost:80"}, "AWS_ENDPOINT_URL_REKOGNITION"),
        ({"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "AKIA"}, "AWS_SECRET_ACCESS_KEY"),
        ({"AWS_REGION": "us-east-1", "GATEWAY_REKOGNITION_REGION": "us-east-1"}, "GATEWAY_REKOGNITION_REGION"),
        ({"AWS_PROFILE": "nobody"}, "AWS_PROFILE"),
    ],
)
def test_wrong_settings_are_named(environ, named, monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(BadEnvironment, match=named):
        registry.build("rekognition", environ)


def test_all_problems_are_told_at_once(monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(BadEnvironment) as caught:
        registry.build("rekognition", {"AWS_ENDPOINT_URL_REKOGNITION": "x", "GATEWAY_REKOGNITION_X": "1", "AWS_ACCESS_KEY_ID": "A"})
    assert len(caught.value.problems) == 4


def test_rotated_credentials_are_read_without_a_restart(amazon, monkeypatch, tmp_path):
    def write(access_key):
        (tmp_path / "credentials").write_text(f"[default]\naws_access_key_id = {access_key}\naws_secret_access_key = x\n")

    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    write("AKIAOLD")
    environ = {name: value for name, value in amazon.environ.items() if "KEY" not in name}
    provider = registry.build("rekognition", environ)
    assert ask(provider, picture(), "objects")
    write("AKIANEW")
    amazon.conduct.change(fault="ExpiredTokenException", fault_times=1)
    with pytest.raises(ProviderMisconfigured) as refused:
        ask(provider, picture(), "objects")
    assert not refused.value.maybe_billed
    assert ask(provider, picture(), "objects")
    assert [line["account"] for line in amazon.bill.lines] == ["AKIAOLD", "AKIANEW"]
    provider.close()


def test_credentials_that_come_later_than_the_process_are_found(amazon, monkeypatch, tmp_path):
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    provider = registry.build("rekognition", {name: value for name, value in amazon.environ.items() if "KEY" not in name})
    with pytest.raises(ProviderMisconfigured):
        ask(provider, picture(), "objects")
    (tmp_path / "none").write_text("[default]\naws_access_key_id = AKIANEW\naws_secret_access_key = x\n")
    assert ask(provider, picture(), "objects")
    provider.close()
