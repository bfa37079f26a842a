from typing import Any

import pytest
from google.cloud import vision_v1 as vision
from google.protobuf import json_format

from providers.contract import FEATURES, Detection, Feature
from providers.errors import ProviderProtocolError
from providers.google_vision_answers import parse
from providers.rekognition_answers import parse as parse_rekognition
from tests.providers.conftest import recorded

FACE_PHOTO = (225, 225)
"""Pixels; told by both clouds' landmarks of the same photograph."""


def message(document: Any) -> Any:
    return json_format.ParseDict(document, vision.AnnotateImageResponse.pb()())


def found(document: Any, feature: Feature, size: tuple[int, int] = (1, 1)) -> list[Detection]:
    return list(parse(message(document), frozenset({feature}), size).detections)


def names(detections: list[Detection]) -> list[tuple[str, str]]:
    return [(detection.label, detection.provider_label) for detection in detections]


def test_a_living_room_has_two_couches_a_person_two_lamps_and_a_table():
    objects = found(recorded("gcv_objects_edenai_objects_png"), "objects")
    assert names(objects) == [
        ("couch", "Couch"),
        ("couch", "Couch"),
        ("person", "Person"),
        ("lighting", "Lighting"),
        ("lighting", "Lighting"),
        ("dining table", "Table"),
    ]


def test_a_bicycle_and_its_wheels():
    answer = recorded("gcv_objects_datable_bicycle")["responses"][0]
    assert names(found(answer, "objects")) == [
        ("bicycle wheel", "Bicycle wheel"),
        ("bicycle wheel", "Bicycle wheel"),
        ("bicycle", "Bicycle"),
    ]
    assert names(found(answer, "labels")) == [("bicycle", "Bicycle"), ("wheel", "Wheel"), ("tire", "Tire")]


def test_a_wheel_and_a_tire_in_one_box_are_one_thing():
    objects = found(recorded("gcv_objects_google_docs_bicycle")["responses"][0], "objects")
    assert names(objects) == [
        ("bicycle wheel", "Bicycle wheel, Tire"),
        ("bicycle", "Bicycle"),
        ("bicycle wheel", "Bicycle wheel"),
        ("picture frame", "Picture frame"),
        ("door", "Door"),
    ]


def test_pixels_become_fractions_and_a_zero_that_is_left_out_is_a_zero():
    document = recorded("gcv_faces_edenai")
    (face,) = found(document, "faces", FACE_PHOTO)
    assert (face.box.x_min, face.box.y_min, face.box.x_max, face.box.y_max) == pytest.approx((77 / 225, 29 / 225, 204 / 225, 165 / 225))
    del document["faceAnnotations"][0]["fdBoundingPoly"]
    (face,) = found(document, "faces", FACE_PHOTO)
    assert (face.box.x_min, face.box.y_min) == (pytest.approx(55 / 225), 0.0)


def test_a_face_is_described_in_the_words_of_both_clouds():
    (face,) = found(recorded("gcv_faces_edenai"), "faces", FACE_PHOTO)
    (same,) = parse_rekognition("DetectFaces", recorded("aws_faces_edenai"), frozenset({"faces"})).detections
    assert face.confidence == pytest.approx(0.359, abs=1e-3)
    assert face.attributes["emotions"] == {"happy": 0.05, "sad": 0.05, "angry": 0.05, "surprised": 0.05}
    assert face.attributes["pose"].keys() == same.attributes["pose"].keys()
    for angle, degrees in face.attributes["pose"].items():
        assert degrees == pytest.approx(same.attributes["pose"][angle], abs=8)
    both = face.attributes["landmarks"].keys() & same.attributes["landmarks"].keys()
    assert len(both) >= 18
    for name in both:
        assert face.attributes["landmarks"][name] == pytest.approx(same.attributes["landmarks"][name], abs=0.08), name


def test_safe_search_says_medical_and_violence():
    answer = {"safeSearchAnnotation": recorded("gcv_safesearch_edenai")}
    found_ = found(answer, "moderation")
    assert [(detection.label, detection.confidence) for detection in found_] == [("medical", 0.5), ("violence", 0.5)]


def test_moderation_meets_rekognitions_words():
    likely = {"adult": "VERY_LIKELY", "racy": "LIKELY", "violence": "UNLIKELY", "medical": "VERY_UNLIKELY", "spoof": "UNKNOWN"}
    assert [(d.label, d.confidence) for d in found({"safeSearchAnnotation": likely}, "moderation")] == [
        ("explicit", 0.95),
        ("violence", 0.25),
        ("suggestive", 0.75),
    ]


@pytest.mark.parametrize(("at", "lines"), list(enumerate([
    ["O Office de Tourisme de St Jean de Luz"],
    ["PREMIUM"],
    ["MorganChase", "US OPEN", "JPM", "USTA EVENT"],
    ["TEJADA", "PIERREFHO RAPNY"],
])))  # fmt: skip
def test_recorded_words_become_lines(at, lines):
    """The recording's authors kept the strings; each word stands in a column of its own here."""
    strings = list(recorded("gcv_text_practicaldl").values())[at]
    annotations = [{"description": strings[0]}] + [
        {"description": word, "boundingPoly": {"vertices": [{"x": 10 * column, "y": 1}, {"x": 10 * column + 9, "y": 2}]}}
        for column, word in enumerate(strings[1:])
    ]
    texts = found({"textAnnotations": annotations}, "text", (100, 10))
    assert [text.text for text in texts] == lines
    assert texts[0].box.x_min == 0.0
    assert texts[-1].box.x_max == pytest.approx((10 * (len(strings) - 2) + 9) / 100)
    assert sum(len(text.text.split()) for text in texts) == len(strings) - 1


def _word(text: str, ends: str, confidence: float = 0.0) -> dict[str, Any]:
    symbols: list[dict[str, Any]] = [{"text": letter} for letter in text]
    symbols[-1]["property"] = {"detectedBreak": {"type": ends}}
    return {"symbols": symbols, "confidence": confidence, "boundingBox": {"vertices": [{}, {"x": 50}, {"x": 50, "y": 10}, {"y": 10}]}}


def test_lines_come_from_the_pages_where_there_are_any():
    words = [_word("US", "SPACE", 0.9), _word("OPEN", "EOL_SURE_SPACE", 0.7), _word("JPM", "LINE_BREAK")]
    document = {
        "textAnnotations": [{"description": "US OPEN\nJPM"}],
        "fullTextAnnotation": {"pages": [{"blocks": [{"paragraphs": [{"words": words}]}]}]},
    }
    texts = found(document, "text", (100, 100))
    assert [(text.text, round(text.confidence, 3)) for text in texts] == [("US OPEN", 0.8), ("JPM", 1.0)]
    assert texts[0].box.x_max == 0.5


def test_what_was_not_asked_for_is_not_answered():
    """Landmarks are no feature of ours; nor are labels objects."""
    landmarks = message({"landmarkAnnotations": recorded("gcv_landmark_edenai")})
    assert parse(landmarks, frozenset(FEATURES), (640, 480)).detections == ()
    both = message(recorded("gcv_objects_datable_bicycle")["responses"][0])
    assert {detection.feature for detection in parse(both, frozenset({"labels"}), (1, 1)).detections} == {"labels"}


def test_no_text_is_no_line():
    assert found({}, "text") == []


def _object(**changes: Any) -> Any:
    corners = [{"x": 0.1, "y": 0.1}, {"x": 0.2, "y": 0.2}]
    return {
        "localizedObjectAnnotations": [
            {"mid": "/m/x", "name": "Cat", "score": 0.9, "boundingPoly": {"normalizedVertices": corners}} | changes
        ]
    }


def test_a_thing_is_told_by_its_mid_and_not_by_its_name():
    assert found(_object(mid="/m/01yrx", name="Whatever"), "objects")[0].label == "cat"
    assert found(_object(mid="/m/04rmv", name="Mouse"), "objects")[0].label == "mouse (animal)"
    assert found(_object(mid="/m/020lf", name="Computer mouse"), "objects")[0].label == "mouse"
    assert found(_object(mid="/m/07mhn", name="Pants"), "objects")[0].label == "pants"
    assert found(_object(mid="/m/0jc_p", name="Orange"), "objects")[0].label == "orange (/m/0jc_p)"
    assert found(_object(mid="/m/04yx4", name="Man"), "objects")[0].label == "person"


@pytest.mark.parametrize(
    "wrong",
    [
        _object(score="NaN"),
        _object(score="Infinity"),
        _object(score=7.0),
        _object(boundingPoly={}),
        _object(boundingPoly={"normalizedVertices": [{"x": "NaN"}, {"y": 0.5}]}),
        {"localizedObjectAnnotations": _object()["localizedObjectAnnotations"] * 2_001},
    ],
)
def test_what_is_no_answer_is_never_no_objects(wrong):
    with pytest.raises(ProviderProtocolError):
        found(wrong, "objects")


def test_corners_outside_the_picture_are_cut_to_it():
    outside = {"normalizedVertices": [{"x": -0.2, "y": 0.5}, {"x": 1.2, "y": 0.5}, {"x": 1.2, "y": 3}, {"x": -0.2, "y": 3}]}
    box = found(_object(boundingPoly=outside), "objects")[0].box
    assert (box.x_min, box.y_min, box.x_max, box.y_max) == (0.0, 0.5, 1.0, 1.0)
