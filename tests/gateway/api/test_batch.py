import base64
import json

import pytest
from urllib3 import encode_multipart_formdata

from tests.conftest import PHOTOS

PHOTOS_BYTES = [path.read_bytes() for path in sorted(PHOTOS.glob("*.jpg"))]


def lines(response) -> list[dict]:
    """What was answered, in the order of the pictures."""
    assert response.status_code == 200, response.text
    assert response.mimetype == "application/x-ndjson"
    return sorted((json.loads(line) for line in response.text.splitlines()), key=lambda line: line["index"])


def send_form(client, *files, query="", **fields):
    parts = [("image", (name, content, "image/jpeg")) for content, name in files]
    body, content_type = encode_multipart_formdata([*parts, *fields.items()])
    return client.post(f"/v1/detections/batch{query}", data=body, content_type=content_type)


def send_lines(client, *documents, query=""):
    body = b"\n".join(one if isinstance(one, bytes) else json.dumps(one).encode() for one in documents)
    return client.post(f"/v1/detections/batch{query}", data=body, content_type="application/x-ndjson")


def in_json(content: bytes) -> dict:
    return {"base64": base64.b64encode(content).decode()}


def test_every_picture_of_a_form_is_answered_as_it_is_alone_and_says_which_it_is(client):
    named = [(content, f"photo-{n}.jpg") for n, content in enumerate(PHOTOS_BYTES)]
    answers = lines(send_form(client, *named, min_confidence="0.4"))
    assert [(one["index"], one["name"], one["status"]) for one in answers] == [(n, f"photo-{n}.jpg", 200) for n in range(len(named))]
    for content, answer in zip(PHOTOS_BYTES, answers, strict=True):
        alone = client.post("/v1/detections?min_confidence=0.4", data=content, content_type="image/jpeg").json
        assert [found["label"] for found in answer["detections"]] == [found["label"] for found in alone["detections"]]
        assert answer["image"] == alone["image"]


def test_a_picture_that_is_bad_fails_alone(client):
    good = {"image": in_json(PHOTOS_BYTES[0]), "name": "mine"}
    sent = [good, {"image": {"base64": "bm90IGFuIGltYWdl"}}, b"not json", {"image": in_json(PHOTOS_BYTES[0]), "spin": 1}, b"", [1]]
    answers = lines(send_lines(client, *sent))
    told = [(one["status"], one.get("code")) for one in answers]
    unreadable = (400, "invalid_image")
    assert told == [(200, None), unreadable, *[(422, "invalid_parameter")] * 3]
    assert answers[0]["name"] == "mine"
    assert all(one["request_id"] == answers[0]["request_id"] for one in answers)


def test_the_querys_options_are_every_pictures_and_a_line_may_say_otherwise(client):
    picture = in_json(PHOTOS_BYTES[0])
    strict, lax = lines(send_lines(client, {"image": picture}, {"image": picture, "min_confidence": 0.0}, query="?min_confidence=1"))
    assert strict["detections"] == []
    assert lax["detections"]


@pytest.fixture(autouse=True)
def model(client):
    """In memory: the first picture waits for it."""
    client.post("/v1/detections?deadline_ms=60000", data=PHOTOS_BYTES[0], content_type="image/jpeg")


@pytest.mark.parametrize("count", [0, 65])
@pytest.mark.parametrize("form", [True, False])
def test_a_batch_has_one_to_sixty_four_pictures(client, count, form):
    if form:
        response = send_form(client, *[(b"x", f"{n}.jpg") for n in range(count)], features="objects")
    else:
        response = send_lines(client, *[{"image": {"base64": "eA=="}}] * count)
    assert (response.status_code, response.json["code"]) == (422, "invalid_parameter")


def test_sixty_four_pictures_are_answered(client):
    answers = lines(send_form(client, *[(PHOTOS_BYTES[n % 2], f"{n}.jpg") for n in range(64)], dry_run="true"))
    assert [one["index"] for one in answers] == list(range(64))
    assert {one["status"] for one in answers} == {200}


@pytest.mark.parametrize(
    ("query", "parameter"),
    [("batch_max_cost_usd=much", "batch_max_cost_usd"), ("batch_deadline_ms=0", "batch_deadline_ms"), ("spin=1", "spin")],
)
def test_what_is_wrong_with_the_whole_refuses_the_whole(client, query, parameter):
    response = send_lines(client, {"image": in_json(PHOTOS_BYTES[0])}, query=f"?{query}")
    assert (response.status_code, response.json["parameter"]) == (422, parameter)


def test_another_content_type_is_refused_and_says_how(client):
    response = client.post("/v1/detections/batch", data=PHOTOS_BYTES[0], content_type="image/jpeg")
    assert (response.status_code, response.json["code"]) == (415, "unsupported_media_type")
    assert "x-ndjson" in response.json["detail"]


def test_a_deadline_of_the_whole_that_is_over_is_told_for_each_picture_left(client):
    answers = lines(send_form(client, *[(PHOTOS_BYTES[n % 7], f"{n}.jpg") for n in range(20)], cache="off", batch_deadline_ms="1"))
    assert {one["status"] for one in answers} <= {503, 504}
    assert answers[-1]["code"] == "deadline_exceeded"


def test_a_repeated_batch_gets_the_same_answers_each_charged_once(client):
    def send():
        body = b"\n".join(json.dumps({"image": in_json(content)}).encode() for content in PHOTOS_BYTES[:3])
        headers = {"Idempotency-Key": "nightly-import-7"}
        return lines(client.post("/v1/detections/batch", data=body, content_type="application/x-ndjson", headers=headers))

    assert [one["id"] for one in send()] == [one["id"] for one in send()]
