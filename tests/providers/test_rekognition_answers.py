import json
from typing import Any

import botocore.parsers
import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.contract import FEATURES, Detection, Feature
from providers.errors import ProviderProtocolError
from providers.rekognition_answers import parse
from tests.providers.conftest import ANSWERS, recorded

OPERATIONS = {
    "DetectLabels": frozenset[Feature]({"objects", "labels"}),
    "DetectFaces": frozenset[Feature]({"faces"}),
    "DetectText": frozenset[Feature]({"text"}),
    "DetectModerationLabels": frozenset[Feature]({"moderation"}),
}


def found(operation: str, answer: Any, feature: Feature) -> list[Detection]:
    return list(parse(operation, answer, frozenset({feature})).detections)


def names(detections: list[Detection]) -> list[tuple[str, str]]:
    return [(detection.label, detection.provider_label) for detection in detections]


def test_twelve_boxes_under_five_names_are_four_people():
    people = found("DetectLabels", recorded("aws_labels_moe_mizrak_adult"), "objects")
    assert names(people) == [
        ("person", "Person, Man, Adult, Male"),
        ("person", "Person, Woman, Adult"),
        ("person", "Person, Woman, Adult"),
        ("person", "Person, Male"),
    ]


def test_a_couch_without_instances_is_a_label_and_no_object():
    answer = recorded("aws_labels_edenai_objects_png")
    objects = found("DetectLabels", answer, "objects")
    assert names(objects) == [("person", "Person"), ("person", "Person, Woman, Adult, Female"), ("candle", "Candle")]
    labels = found("DetectLabels", answer, "labels")
    assert len(labels) == 22
    assert "couch" in {label.label for label in labels}
    assert all(label.box is None for label in labels)


def test_a_street_with_a_skateboard():
    answer = recorded("aws_cli_detect_labels")
    objects = [detection.label for detection in found("DetectLabels", answer, "objects")]
    assert {name: objects.count(name) for name in objects} == {"car": 14, "wheel": 10, "person": 2, "skateboard": 1}
    labels = dict(names(found("DetectLabels", answer, "labels")))
    assert len(labels) == 27
    assert labels["car"] == "Car, Automobile"
    assert labels["person"] == "Person, Human"
    assert parse("DetectLabels", answer, frozenset({"objects"})).model == "DetectLabels 2.0"


def test_labels_of_a_model_without_boxes():
    console = recorded("aws_guide_detect_labels_console")
    assert found("DetectLabels", console, "objects") == []
    labels = dict(names(found("DetectLabels", console, "labels")))
    assert len(labels) == 34
    assert labels["car"] == "Car, Automobile"
    example = found("DetectLabels", recorded("aws_botocore_examples_detect_labels"), "labels")
    assert names(example) == [("person", "Person"), ("people", "People")]


@pytest.mark.parametrize(
    ("name", "box"),
    [
        ("aws_botocore_examples_detect_faces", (0.556, 0.337, 0.796, 0.517)),
        ("aws_cli_detect_faces", (0.590, 0.160, 0.714, 0.411)),
        ("aws_faces_edenai", (0.351, 0.117, 0.784, 0.782)),
    ],
)
def test_one_face_each(name, box):
    (face,) = found("DetectFaces", recorded(name), "faces")
    assert (face.label, face.confidence) == ("face", pytest.approx(1.0, abs=1e-3))
    assert (face.box.x_min, face.box.y_min, face.box.x_max, face.box.y_max) == pytest.approx(box, abs=1e-3)


def test_a_face_is_described():
    (face,) = found("DetectFaces", recorded("aws_cli_detect_faces"), "faces")
    assert face.attributes["age_range"] == [32, 48]
    assert face.attributes["gender"] == {"value": "male", "confidence": pytest.approx(0.996, abs=1e-3)}
    assert face.attributes["eyes_open"] == {"value": True, "confidence": pytest.approx(0.989, abs=1e-3)}
    assert face.attributes["pose"]["yaw"] == pytest.approx(-3.735, abs=1e-3)
    assert face.attributes["emotions"]["calm"] == pytest.approx(0.728, abs=1e-3)
    assert face.attributes["landmarks"]["left_eye"] == pytest.approx([0.620, 0.267], abs=1e-3)
    assert len(face.attributes["landmarks"]) == 30


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("aws_cli_detect_text", ["ESTD 1882", "BRAINS"]),
        ("aws_guide_text_detecting_text_procedure", ["IT'S", "I", "MONDAY", "but keep", "Smiling"]),
    ],
)
def test_text_is_lines(name, lines):
    assert [line.text for line in found("DetectText", recorded(name), "text")] == lines


@pytest.mark.parametrize(("at", "lines"), [(0, 1), (1, 2), (2, 4), (3, 3)])
def test_recorded_words_are_in_their_lines(at, lines):
    """The recording's authors kept the strings: lines, then the lines' words."""
    strings = list(recorded("aws_text_practicaldl").values())[at]
    assert sorted(" ".join(strings[:lines]).split()) == sorted(strings[lines:])
    geometry = {"BoundingBox": {"Left": 0.1, "Top": 0.1, "Width": 0.1, "Height": 0.1}}
    kinds = ["LINE"] * lines + ["WORD"] * len(strings[lines:])
    rows = [
        {"DetectedText": said, "Type": kind, "Confidence": 90.0, "Geometry": geometry} for said, kind in zip(strings, kinds, strict=True)
    ]
    assert [line.text for line in found("DetectText", {"TextDetections": rows}, "text")] == strings[:lines]


@pytest.mark.parametrize(
    ("name", "labels", "model"),
    [
        ("aws_moderation_edenai", ["graphic violence or gore", "violence"], "DetectModerationLabels 6.1"),
        ("aws_cli_detect_moderation_labels", ["weapon violence", "violence"], "DetectModerationLabels 3.0"),
    ],
)
def test_moderation(name, labels, model):
    answer = parse("DetectModerationLabels", recorded(name), frozenset({"moderation"}))
    assert [detection.label for detection in answer.detections] == labels
    assert answer.model == model


def test_every_recorded_answer_of_an_operation_that_is_used_is_looked_at_above():
    used = {path.stem for path in ANSWERS.glob("aws_*.json")} - {
        "aws_cli_recognize_celebrities",  # operations that answer no feature of ours
        "aws_guide_ppe_request_response",
        "aws_ppe_image",
        "aws_error_invalid_s3_object",  # an error: tests/providers/test_rekognition.py
    }
    assert len(used) == 13


@pytest.mark.parametrize("name", ["aws_guide_ppe_request_response", "aws_ppe_image", "aws_cli_recognize_celebrities"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_another_operations_answer_is_not_an_answer(name, operation):
    with pytest.raises(ProviderProtocolError):
        parse(operation, recorded(name), OPERATIONS[operation])


def test_boxes_outside_the_picture_are_cut_to_it():
    box = {"Left": -0.1, "Top": 0.5, "Width": 1.3, "Height": 0.7}
    (thing,) = found("DetectLabels", {"Labels": [_label("Dog", box)]}, "objects")
    assert (thing.box.x_min, thing.box.y_min, thing.box.x_max, thing.box.y_max) == (0.0, 0.5, 1.0, 1.0)


def test_an_instance_has_its_own_confidence():
    label = _label("Dog", {"Left": 0, "Top": 0, "Width": 1, "Height": 1}) | {"Confidence": 97.9}
    (thing,) = found("DetectLabels", {"Labels": [label]}, "objects")
    assert thing.confidence == pytest.approx(0.9)


def test_the_newer_names_and_the_older_ones_are_one_language():
    answer = {"Labels": [{"Name": name, "Confidence": 90.0} for name in ("Mobile Phone", "Cell Phone", "Stopsign", "Skiing", "TV", "Lamp")]}
    assert names(found("DetectLabels", answer, "labels")) == [
        ("cell phone", "Cell Phone, Mobile Phone"),
        ("stop sign", "Stopsign"),
        ("skis", "Skiing"),
        ("tv", "TV"),
        ("lamp", "Lamp"),
    ]


def test_the_animal_is_not_the_mouse_of_a_computer():
    box = {"Left": 0, "Top": 0, "Width": 0.1, "Height": 0.1}
    hardware = _label("Mouse", box) | {"Parents": [{"Name": "Computer Hardware"}]}
    animal = _label("Mouse", box) | {"Parents": [{"Name": "Animal"}]}
    assert found("DetectLabels", {"Labels": [hardware]}, "objects")[0].label == "mouse"
    assert found("DetectLabels", {"Labels": [animal]}, "objects")[0].label == "mouse (animal)"


def _label(name: str, box: dict[str, float]) -> dict[str, Any]:
    return {"Name": name, "Confidence": 90.0, "Instances": [{"BoundingBox": box, "Confidence": 90.0}]}


WRONG = [
    {},
    {"Labels": None},
    {"Labels": "none"},
    {"Labels": ["none"]},
    {"Labels": [{"Confidence": 90.0}]},
    {"Labels": [{"Name": 7, "Confidence": 90.0}]},
    {"Labels": [{"Name": "Dog", "Confidence": "high"}]},
    {"Labels": [{"Name": "Dog", "Confidence": float("nan")}]},
    {"Labels": [{"Name": "Dog", "Confidence": True}]},
    {"Labels": [{"Name": "Dog", "Confidence": 101.0}]},
    {"Labels": [{"Name": "Dog", "Confidence": -1.0}]},
    {"Labels": [{"Name": "Dog", "Confidence": 90.0, "Instances": [{}]}]},
    {"Labels": [{"Name": "Dog", "Confidence": 90.0, "Instances": [{"Confidence": 90.0}]}]},
    {"Labels": [_label("Dog", {"Left": 0, "Top": 0, "Width": 1})]},
    {"Labels": [_label("Dog", {"Left": 0, "Top": 0, "Width": 1, "Height": float("inf")})]},
    {"Labels": [_label("Dog", {"Left": 0, "Top": 0, "Width": 1, "Height": 1}) | {"Parents": [{}]}]},
    {"Labels": [_label(f"Thing {at}", {"Left": 0, "Top": 0, "Width": 1, "Height": 1}) for at in range(2_001)]},
]


@pytest.mark.parametrize("answer", WRONG)
def test_what_is_no_answer_is_never_no_objects(answer):
    with pytest.raises(ProviderProtocolError):
        parse("DetectLabels", answer, OPERATIONS["DetectLabels"])


_KEYS = [
    "Labels",
    "Instances",
    "Name",
    "Confidence",
    "BoundingBox",
    "Left",
    "FaceDetails",
    "TextDetections",
    "Type",
    "Geometry",
    "ModerationLabels",
]
_VALUE = st.sampled_from([None, True, 0, 55.5, -3.0, float("nan"), float("inf"), "LINE", "", [], {}, [None], ["x"], [{}]])
_ANSWER = st.recursive(
    st.dictionaries(st.sampled_from(_KEYS), _VALUE, max_size=5),
    lambda inner: st.dictionaries(st.sampled_from(_KEYS), _VALUE | inner | st.lists(inner, max_size=2), max_size=5),
    max_leaves=4,
)


@given(operation=st.sampled_from(sorted(OPERATIONS)), answer=_ANSWER)
def test_anything_is_an_answer_or_a_protocol_error(operation, answer):
    try:
        parsed = parse(operation, answer, OPERATIONS[operation])
    except ProviderProtocolError:
        return
    assert all(detection.feature in FEATURES for detection in parsed.detections)


@pytest.mark.parametrize("path", sorted(ANSWERS.glob("aws_*.json")), ids=lambda path: path.stem)
def test_recorded_answers_are_what_botocore_would_hand_over(path):
    """So that reading them here is reading what comes over the wire."""
    document = json.loads(path.read_text())
    operation, _, reduced = document["operation"].partition(" ")
    if operation == "any" or reduced:
        return
    shape = botocore.session.get_session().get_service_model("rekognition").operation_model(operation).output_shape
    response = {"body": json.dumps(document["response"]).encode(), "headers": {}, "status_code": 200}
    parsed = botocore.parsers.create_parser("json").parse(response, shape)
    del parsed["ResponseMetadata"]
    assert parsed == document["response"]
