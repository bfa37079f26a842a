import base64
import hashlib
import io
import json

import PIL.Image
import pytest
from urllib3.filepost import encode_multipart_formdata

from tests.conftest import PHOTOS
from tests.gateway.toys import jpeg

PHOTO = (PHOTOS / "000000000471.jpg").read_bytes()


def raw(client, content=PHOTO, query="", content_type="image/jpeg"):
    return client.post(f"/v1/detections{query}", data=content, content_type=content_type)


def multipart(client, content=PHOTO, name="image", **fields):
    body, content_type = encode_multipart_formdata({name: ("photo.jpg", content, "image/jpeg"), **fields})
    return client.post("/v1/detections", data=body, content_type=content_type)


def as_json(client, content=PHOTO, **keys):
    return client.post("/v1/detections", json={"image": {"base64": base64.b64encode(content).decode()}, **keys})


def labels(response):
    assert response.status_code == 200, response.text
    return sorted({found["label"] for found in response.json["detections"]})


def test_the_three_forms_of_a_picture_give_the_same_answer(client):
    answers = [raw(client), multipart(client), as_json(client)]
    found = [answer.json["detections"] for answer in answers]
    assert found[0] == found[1] == found[2]
    assert labels(answers[0]) == ["bus"]


def test_the_answer_has_the_form_of_the_contract(client):
    response = raw(client)
    answer = response.json
    assert answer["image"] == {
        "digest": hashlib.sha256(PHOTO).hexdigest(),
        "width": 640,
        "height": 427,
        "format": "jpeg",
    }
    assert answer["provider"] == "local"
    assert answer["model"].startswith("nanodet-g-416")
    assert (answer["cost_usd"], answer["degraded"], answer["simulated"]) == ("0", False, False)
    assert [(a["provider"], a["outcome"]) for a in answer["attempts"]] == [("local", "answered")]
    assert answer["routing"]["strategy"] == "auto"
    assert [(c["provider"], c["decision"]) for c in answer["routing"]["considered"]] == [("local", "first")]
    for found in answer["detections"]:
        assert (found["feature"], found["provider"]) == ("objects", "local")
        assert 0.5 <= found["confidence"] <= 1
        box = found["box"]
        assert 0 <= box["x_min"] < box["x_max"] <= 1
        assert 0 <= box["y_min"] < box["y_max"] <= 1
    assert (response.headers["X-Cost-USD"], response.headers["X-Provider"]) == ("0", "local")
    assert response.headers["X-Cache"] == answer["cache"]


def test_a_request_id_comes_back_and_one_is_made_where_none_came(client):
    given = client.post("/v1/detections", data=PHOTO, content_type="image/jpeg", headers={"X-Request-ID": "order-4711"})
    assert given.headers["X-Request-ID"] == given.json["request_id"] == "order-4711"
    made = raw(client)
    assert made.headers["X-Request-ID"] == made.json["request_id"] != ""


@pytest.mark.parametrize("bad", ["a b", "x" * 129, "näh"])
def test_a_request_id_that_does_not_fit_a_log_line_is_replaced(client, bad):
    answer = client.post("/v1/detections", data=PHOTO, content_type="image/jpeg", headers={"X-Request-ID": bad.encode().decode("latin-1")})
    assert answer.headers["X-Request-ID"] != bad
    assert len(answer.headers["X-Request-ID"]) == 26


@pytest.mark.parametrize("send", [raw, multipart, as_json], ids=["query", "form", "json"])
def test_options_have_the_same_names_everywhere(client, send):
    if send is raw:
        answer = raw(client, query="?min_confidence=0.05&max_results=2&features=objects&tags=team:shop")
    else:
        answer = send(client, min_confidence="0.05", max_results="2", features="objects", tags="team:shop")
    assert len(answer.json["detections"]) == 2


def test_min_confidence_and_max_results_filter_on_the_way_out_surest_first(client):
    everything = raw(client, query="?min_confidence=0.05").json["detections"]
    confidences = [found["confidence"] for found in everything]
    assert confidences == sorted(confidences, reverse=True)
    assert raw(client, query="?min_confidence=0.05&max_results=1").json["detections"] == everything[:1]
    assert raw(client, query="?min_confidence=1").json["detections"] == []


def test_a_dry_run_tells_the_route_and_detects_nothing(client):
    answer = raw(client, query="?dry_run=true").json
    assert answer["dry_run"] is True
    assert (answer["detections"], answer["attempts"], answer["cost_usd"]) == ([], [], "0")
    assert answer["routing"]["considered"][0]["decision"] == "first"


def test_one_side_of_a_rotated_photograph_is_its_other_side(client):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    PIL.Image.open(io.BytesIO(PHOTO)).transpose(PIL.Image.Transpose.ROTATE_90).save(out, "JPEG", exif=exif, quality=95)
    answer = raw(client, out.getvalue())
    assert (answer.json["image"]["width"], answer.json["image"]["height"]) == (640, 427)
    assert labels(answer) == ["bus"]
    upright, rotated = raw(client).json["detections"][0]["box"], answer.json["detections"][0]["box"]
    assert all(abs(upright[side] - rotated[side]) < 0.05 for side in upright)


BAD = {
    "empty body": (lambda c: raw(c, b""), 400, "invalid_image"),
    "text": (lambda c: raw(c, b"not a picture"), 400, "invalid_image"),
    "truncated": (lambda c: raw(c, PHOTO[: len(PHOTO) // 2]), 400, "invalid_image"),
    "a picture and an archive in one": (lambda c: raw(c, PHOTO + b"PK\x03\x04"), 400, "invalid_image"),
    "pdf": (lambda c: raw(c, b"%PDF-1.7 ..."), 415, "unsupported_media_type"),
    "gif, not turned on": (lambda c: raw(c, b"GIF89a" + bytes(20)), 415, "unsupported_media_type"),
    "wrong content type": (lambda c: raw(c, content_type="text/plain"), 415, "unsupported_media_type"),
    "curl's own content type": (lambda c: raw(c, content_type="application/x-www-form-urlencoded"), 415, "unsupported_media_type"),
    "21 MiB": (lambda c: raw(c, PHOTO + bytes(21 << 20)), 413, "image_too_large"),
    "a side too long": (lambda c: raw(c, jpeg(40_000, 1)), 413, "image_too_large"),
    "unknown option": (lambda c: raw(c, query="?colour=red"), 422, "invalid_parameter"),
    "unknown feature": (lambda c: raw(c, query="?features=smells"), 422, "invalid_parameter"),
    "unknown provider": (lambda c: raw(c, query="?providers=nobody"), 422, "invalid_parameter"),
    "confidence over one": (lambda c: raw(c, query="?min_confidence=1.5"), 422, "invalid_parameter"),
    "confidence not a number": (lambda c: raw(c, query="?min_confidence=nan"), 422, "invalid_parameter"),
    "no results": (lambda c: raw(c, query="?max_results=0"), 422, "invalid_parameter"),
    "negative cost": (lambda c: raw(c, query="?max_cost_usd=-1"), 422, "invalid_parameter"),
    "an option twice": (lambda c: raw(c, query="?max_results=1&max_results=2"), 422, "invalid_parameter"),
    "no image field": (lambda c: multipart(c, name="picture"), 422, "invalid_parameter"),
    "not JSON": (lambda c: c.post("/v1/detections", data=b"{", content_type="application/json"), 422, "invalid_parameter"),
    "not base64": (lambda c: c.post("/v1/detections", json={"image": {"base64": "@@"}}), 422, "invalid_parameter"),
    "a URI": (lambda c: c.post("/v1/detections", json={"image": {"uri": "https://x/y.jpg"}}), 422, "invalid_parameter"),
    "a disabled provider": (lambda c: raw(c, query="?providers=rekognition"), 503, "no_provider_available"),
    "a feature nobody has": (lambda c: raw(c, query="?features=faces"), 503, "no_provider_available"),
    "one feature of two": (lambda c: raw(c, query="?features=objects,faces"), 503, "no_provider_available"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_a_problem_document_that_says_what_to_do(client, case):
    send, status, code = BAD[case]
    response = send(client)
    problem = json.loads(response.text)
    assert (response.status_code, problem["code"]) == (status, code), problem
    assert response.mimetype == "application/problem+json"
    assert problem["status"] == status
    assert len(problem["detail"]) > 20
    assert problem["request_id"] == response.headers["X-Request-ID"]
    if code == "invalid_parameter":
        assert problem["parameter"]


def test_every_row_of_bad_input_stands_in_the_readme():
    readme = (PHOTOS.parent.parent / "README.md").read_text(encoding="utf-8")
    for case, (_, status, code) in BAD.items():
        assert f"| {case} | {status} | `{code}` |" in readme


@pytest.mark.parametrize("tags", [",".join(f"t{n}:x" for n in range(17)), f"{'n' * 65}:x"], ids=["seventeen", "a long name"])
def test_tags_that_the_ledger_can_not_keep_are_refused_before_anybody_is_asked(client, tags):
    response = raw(client, query=f"?tags={tags}")
    assert (response.status_code, response.json["parameter"]) == (422, "tags")
