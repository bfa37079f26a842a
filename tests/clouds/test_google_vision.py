"""The stand-in itself, asked by Google's own client over both of its transports."""

import google.api_core.exceptions
import grpc
import pytest
import urllib3
from google.auth.credentials import AnonymousCredentials
from google.cloud import vision_v1 as vision
from google.cloud.vision_v1.services.image_annotator.transports import ImageAnnotatorGrpcTransport, ImageAnnotatorRestTransport
from google.protobuf import json_format

from tests.clouds import google_vision
from tests.providers.conftest import picture, recorded


@pytest.fixture
def cloud():
    made = google_vision.StandIn()
    yield made
    made.close()


@pytest.fixture(params=["grpc", "rest"])
def client(request, cloud):
    if request.param == "grpc":
        channel = grpc.insecure_channel(cloud.endpoint)
        yield vision.ImageAnnotatorClient(transport=ImageAnnotatorGrpcTransport(channel=channel))
        channel.close()
    else:
        host = cloud.server.url.removeprefix("http://")
        transport = ImageAnnotatorRestTransport(host=host, credentials=AnonymousCredentials(), url_scheme="http")
        yield vision.ImageAnnotatorClient(transport=transport)
        transport.close()


OBJECTS = [{"type_": vision.Feature.Type.OBJECT_LOCALIZATION}]


def ask(client, content: bytes, features=OBJECTS, **options):
    return client.batch_annotate_images(requests=[{"image": {"content": content}, "features": features}], retry=None, timeout=5, **options)


def test_both_transports_answer_alike(cloud, client):
    json_format.ParseDict(recorded("gcv_objects_edenai_objects_png"), cloud.answer)
    answer = ask(client, picture().content).responses[0]
    assert [thing.name for thing in answer.localized_object_annotations] == ["Couch", "Couch", "Person", "Lighting", "Lighting", "Table"]
    assert cloud.bill.units() == {"OBJECT_LOCALIZATION": 1}


def test_nothing_named_is_everything_billed(cloud, client):
    client.annotate_image({"image": {"content": picture().content}}, retry=None, timeout=5)
    assert len(cloud.bill.lines) >= 10
    assert cloud.bill.units()["WEB_DETECTION"] == 1


def test_a_bad_picture_is_an_error_inside_an_answer(cloud, client):
    error = ask(client, b"not an image").responses[0].error
    assert (error.code, error.message) == (3, "Bad image data.")
    assert not cloud.bill.lines


@pytest.mark.parametrize(
    ("fault", "raised"),
    [
        ("UNAVAILABLE", google.api_core.exceptions.ServiceUnavailable),
        ("RESOURCE_EXHAUSTED", google.api_core.exceptions.TooManyRequests),
        ("PERMISSION_DENIED", google.api_core.exceptions.Forbidden),
        ("INVALID_ARGUMENT", google.api_core.exceptions.BadRequest),
        ("INTERNAL", google.api_core.exceptions.InternalServerError),
        ("DEADLINE_EXCEEDED", google.api_core.exceptions.GatewayTimeout),
    ],
)
def test_statuses_are_the_clients_exceptions(cloud, client, fault, raised):
    cloud.conduct.change(fault=fault)
    with pytest.raises(raised):
        ask(client, picture().content)
    assert cloud.bill.requests == {fault: 1}
    assert not cloud.bill.lines


def test_more_than_sixteen_pictures_are_refused(cloud, client):
    one = {"image": {"content": picture(20, 20).content}, "features": OBJECTS}
    with pytest.raises(google.api_core.exceptions.BadRequest):
        client.batch_annotate_images(requests=[one] * 17, retry=None, timeout=5)


def test_other_addresses_are_not_there(cloud):
    assert urllib3.request("POST", cloud.server.url + "/v2/images:annotate", body=b"{}").status == 404
    assert urllib3.request("POST", cloud.server.url + "/v1/images:annotate", body=b"{").status == 400
