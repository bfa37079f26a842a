"""The stand-in itself: it must be as strict as the service, or the adapter's tests prove nothing."""

import json

import boto3
import botocore.exceptions
import pytest
import urllib3
from botocore.config import Config
from moto.server import ThreadedMotoServer

from providers import registry
from tests.clouds import rekognition
from tests.clouds.pictures import Thing
from tests.providers.conftest import ask, picture


@pytest.fixture
def cloud():
    made = rekognition.StandIn()
    yield made
    made.close()


def client(cloud: rekognition.StandIn, **config: object):
    environ = cloud.environ
    return boto3.client(
        "rekognition",
        region_name=environ["AWS_REGION"],
        endpoint_url=environ["AWS_ENDPOINT_URL_REKOGNITION"],
        aws_access_key_id=environ["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environ["AWS_SECRET_ACCESS_KEY"],
        config=Config(**config),
    )


def test_boto3_understands_it(cloud):
    bare = client(cloud)
    cloud.answers["DetectFaces"]["FaceDetails"] = [
        {"Confidence": 99.0, "BoundingBox": {"Left": 0.1, "Top": 0.1, "Width": 0.2, "Height": 0.2}}
    ]
    assert bare.detect_faces(Image={"Bytes": picture().content})["FaceDetails"][0]["Confidence"] == 99.0
    assert bare.detect_labels(Image={"Bytes": picture().content})["LabelModelVersion"] == "3.0"
    assert cloud.bill.lines[0]["account"] == "AKIASTANDIN"


def test_its_errors_are_boto3s_errors(cloud):
    cloud.conduct.change(fault="ThrottlingException")
    bare = client(cloud, retries={"total_max_attempts": 1})
    with pytest.raises(bare.exceptions.ThrottlingException):
        bare.detect_labels(Image={"Bytes": picture().content})


def test_it_shows_what_boto3_does_when_left_alone(cloud):
    """Three requests for one call, of which each may be billed: the reason why the adapter makes one."""
    cloud.conduct.change(fault="InternalServerError", fault_billed=True)
    with pytest.raises(botocore.exceptions.ClientError):
        client(cloud).detect_labels(Image={"Bytes": picture().content})
    assert cloud.bill.requests.total() == 3
    assert len(cloud.bill.lines) == 3


@pytest.mark.parametrize(
    ("image", "code"),
    [
        ({"Bytes": b"\xff\xd8\xff" + bytes(5_242_880)}, "ValidationException"),
        ({"Bytes": b"not an image"}, "InvalidImageFormatException"),
        ({"Bytes": picture(image_format="WEBP").content}, "InvalidImageFormatException"),
        ({"Bytes": picture(79, 200).content}, "InvalidParameterException"),
        ({"Bytes": picture(10_001, 90).content}, "ImageTooLargeException"),
        ({"S3Object": {"Bucket": "nobodys", "Name": "x.jpg"}}, "InvalidS3ObjectException"),
        ({}, "InvalidParameterException"),
    ],
)
def test_it_refuses_what_the_service_refuses(cloud, image, code):
    bare = client(cloud, parameter_validation=False)
    if not image:
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            bare.detect_labels(Image={"S3Object": {"Bucket": ""}})
    else:
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            bare.detect_labels(Image=image)
    assert caught.value.response["Error"]["Code"] == code
    assert not cloud.bill.lines


def test_without_a_signature_nobody_is_served(cloud):
    body = json.dumps({"Image": {"Bytes": ""}}).encode()
    headers = {"X-Amz-Target": "RekognitionService.DetectLabels", "Content-Type": rekognition.JSON}
    answer = urllib3.request("POST", cloud.server.url, body=body, headers=headers)
    assert (answer.status, answer.json()["__type"]) == (403, "MissingAuthenticationTokenException")


def test_a_quota_is_kept_and_costs_nothing(cloud):
    cloud.conduct.change(quota_per_s=2)
    bare = client(cloud, retries={"total_max_attempts": 1})
    for _ in range(2):
        bare.detect_labels(Image={"Bytes": picture().content})
    with pytest.raises(bare.exceptions.ProvisionedThroughputExceededException):
        bare.detect_labels(Image={"Bytes": picture().content})
    assert cloud.bill.units() == {"DetectLabels": 2}


def test_minimum_confidence_and_most_labels_are_kept(cloud):
    class Scene:
        names = ("dog", "cat")

        def things_on(self, content: bytes) -> list[Thing]:
            return [Thing("dog", (0.1, 0.1, 0.2, 0.2)), Thing("cat", (0.5, 0.5, 0.6, 0.6))]

    cloud.pictures = Scene()
    cloud.conduct.change(hit_rate=1.0)
    bare = client(cloud)
    assert len(bare.detect_labels(Image={"Bytes": picture().content}, MinConfidence=0)["Labels"]) == 2
    assert len(bare.detect_labels(Image={"Bytes": picture().content}, MinConfidence=0, MaxLabels=1)["Labels"]) == 1
    assert bare.detect_labels(Image={"Bytes": picture().content}, MinConfidence=100)["Labels"] == []


@pytest.fixture(scope="module")
def s3():
    """A bucket with a picture, in moto's S3."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    storage = boto3.client(
        "s3", region_name="us-east-1", endpoint_url=f"http://{host}:{port}", aws_access_key_id="x", aws_secret_access_key="x"
    )
    storage.create_bucket(Bucket="holiday")
    storage.put_object(Bucket="holiday", Key="beach.jpg", Body=picture().content)
    yield storage
    server.stop()


def test_a_picture_in_s3_is_read_from_there(cloud, s3):
    def read(bucket: str, key: str, version: str | None) -> bytes | None:
        try:
            return s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except botocore.exceptions.ClientError:
            return None

    cloud.read_object = read
    provider = registry.build("rekognition", cloud.environ)
    ask(provider, picture(reference="s3://holiday/beach.jpg"), "objects")
    assert cloud.received[0]["Image"] == {"S3Object": {"Bucket": "holiday", "Name": "beach.jpg"}}
    assert cloud.bill.units() == {"DetectLabels": 1}
    provider.close()


def test_motos_own_answer_parses_too(s3):
    endpoint = s3.meta.endpoint_url
    environ = {"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL_REKOGNITION": endpoint, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    provider = registry.build("rekognition", environ)
    labels = {detection.label for detection in ask(provider, picture(), "labels", "objects").detections}
    assert "cell phone" in labels
    provider.close()
