"""Google Cloud Vision's answers, read from the raw protobuf: pure, and tested on recorded ones.

Objects are in fractions, faces and text in pixels of the picture that was sent. A coordinate that is left out is 0.
Source: https://cloud.google.com/vision/docs/reference/rpc/google.cloud.vision.v1#annotateimageresponse
"""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from providers.contract import Answer, BoundingBox, Detection, Feature
from providers.errors import ProviderProtocolError
from providers.faces import EMOTIONS
from providers.labels import google_label, moderation_label, own_label
from providers.things import Sighting, things

NAME = "google_vision"
MODEL = "Cloud Vision v1 builtin/stable"
"""Google tells no version; this is the model that is asked when none is named (…/rpc/google.cloud.vision.v1#feature)."""

Size = tuple[int, int]
"""Width and height in pixels of the picture that was sent."""

IN_PIXELS: frozenset[Feature] = frozenset({"faces", "text"})
"""What is answered in pixels of the picture that was sent, which may be a smaller one than the client's."""

OBJECTS_MAX = 2_000

# Google's words for how likely something is, as confidences. VERY_UNLIKELY says that it is not there: no detection. Evenly spread between,
# as the words are; Google publishes no numbers (…/rpc/google.cloud.vision.v1#likelihood).
LIKELIHOOD = {2: 0.25, 3: 0.5, 4: 0.75, 5: 0.95}
_VERY_UNLIKELY = 0.05

_SPACES, _LINE_ENDS = frozenset({1, 2}), frozenset({3, 5})
"""TextAnnotation.DetectedBreak.BreakType: SPACE, SURE_SPACE; EOL_SURE_SPACE, LINE_BREAK."""


def parse(response: Any, features: frozenset[Feature], size: Size) -> Answer:
    """What one `AnnotateImageResponse` (raw protobuf) without an error says.

    Raises:
        ProviderProtocolError: a number that is none.
    """
    return Answer(tuple(detection for feature in sorted(features) for detection in _DETECTIONS[feature](response, size)), MODEL)


def _objects(response: Any, _: Size) -> list[Detection]:
    found = response.localized_object_annotations
    if len(found) > OBJECTS_MAX:
        raise ProviderProtocolError(f"{len(found)} objects in one answer; at most {OBJECTS_MAX} are read.")
    sightings = []
    for thing in found:
        corners = [(corner.x, corner.y) for corner in thing.bounding_poly.normalized_vertices]
        box = _box(corners, (1, 1))
        if box is None:
            raise ProviderProtocolError(f"{thing.name} has no corners.")
        sightings.append(Sighting(thing.name, google_label(thing.mid, kinds=True), _fraction(thing.score), box, mid=thing.mid))
    return things(sightings, NAME)


def _labels(response: Any, _: Size) -> list[Detection]:
    found: dict[str, Detection] = {}
    for label in response.label_annotations:
        canonical = google_label(label.mid, kinds=False) or own_label(label.description, label.mid)
        found.setdefault(canonical, Detection("labels", canonical, _fraction(label.score), None, NAME, label.description))
    return list(found.values())


def _faces(response: Any, size: Size) -> list[Detection]:
    """The box is the face's own (`fd_bounding_poly`), as Rekognition's is; the other one takes in the head."""
    found = []
    for face in response.face_annotations:
        box = _pixel_box(face.fd_bounding_poly, size) or _pixel_box(face.bounding_poly, size)
        confidence = _fraction(face.detection_confidence)
        found.append(Detection("faces", "face", confidence, box, NAME, "Face", attributes=_attributes(face, size)))
    return found


def _attributes(face: Any, size: Size) -> dict[str, object]:
    """In the vocabulary of `providers.faces`."""
    width, height = size
    landmarks = {}
    for landmark in face.landmarks:
        types = landmark.DESCRIPTOR.fields_by_name["type_"].enum_type.values_by_number
        if landmark.type_ in types:  # one that is newer than the installed library has no name yet
            point = [_finite(landmark.position.x) / width, _finite(landmark.position.y) / height]
            landmarks[types[landmark.type_].name.lower()] = point
    return {
        "pose": {"roll": _finite(face.roll_angle), "pitch": _finite(face.tilt_angle), "yaw": _finite(face.pan_angle)},
        "emotions": {word: _likely(getattr(face, f"{name}_likelihood")) for name, word in EMOTIONS.items() if name.islower()},
        "landmarks": landmarks,
        "underexposed": _likely(face.under_exposed_likelihood),
        "blurred": _likely(face.blurred_likelihood),
        "headwear": _likely(face.headwear_likelihood),
    }


def _likely(likelihood: int) -> float | None:
    """A confidence in [0, 1]; None where Google does not know."""
    return LIKELIHOOD.get(likelihood, _VERY_UNLIKELY if likelihood == 1 else None)


def _texts(response: Any, size: Size) -> list[Detection]:
    """Lines, as Rekognition answers them: from the pages' line breaks, else from the words in the order of the whole text."""
    lines = list(_lines_of_pages(response.full_text_annotation)) or list(_lines_of_words(response.text_annotations))
    return [
        Detection("text", "text", confidence, _box(corners, size), NAME, "Line", text=said) for said, confidence, corners in lines if said
    ]


Line = tuple[str, float, list[tuple[float, float]]]
"""What it says, its confidence in [0, 1], the corners of its words in pixels."""


def _lines_of_pages(annotation: Any) -> Iterator[Line]:
    for paragraph in (p for page in annotation.pages for block in page.blocks for p in block.paragraphs):
        said, confidences, corners = "", [], []
        for word in paragraph.words:
            confidences.append(word.confidence)
            corners += _corners(word.bounding_box)
            for symbol in word.symbols:
                said += symbol.text
                ending = symbol.property.detected_break.type_
                if ending in _SPACES:
                    said += " "
                elif ending in _LINE_ENDS:
                    yield said.strip(), _read_with(confidences), corners
                    said, confidences, corners = "", [], []
        if said:
            yield said.strip(), _read_with(confidences), corners


def _lines_of_words(annotations: Any) -> Iterator[Line]:
    """The first annotation is the whole text, the others are its words in its order."""
    if not annotations:
        return
    whole, *words = annotations
    at = 0
    for line in whole.description.splitlines():
        missing = "".join(line.split())
        corners: list[tuple[float, float]] = []
        while at < len(words) and missing and missing.startswith(said := "".join(words[at].description.split())):
            missing = missing[len(said) :]
            corners += _corners(words[at].bounding_poly)
            at += 1
        yield line.strip(), 1.0, corners


def _read_with(confidences: list[float]) -> float:
    """The mean of the words'. Google leaves them out for much of its text: what it reads without a doubt of its own counts as sure."""
    told = [_fraction(confidence) for confidence in confidences if confidence]
    return math.fsum(told) / len(told) if told else 1.0


def _moderation(response: Any, _: Size) -> list[Detection]:
    found = response.safe_search_annotation
    judged = ((name, LIKELIHOOD.get(getattr(found, name))) for name in ("adult", "spoof", "medical", "violence", "racy"))
    return [Detection("moderation", moderation_label(name), confidence, None, NAME, name) for name, confidence in judged if confidence]


_DETECTIONS: dict[Feature, Callable[[Any, Size], list[Detection]]] = {
    "objects": _objects,
    "labels": _labels,
    "faces": _faces,
    "text": _texts,
    "moderation": _moderation,
}


def _pixel_box(polygon: Any, size: Size) -> BoundingBox | None:
    return _box(_corners(polygon), size)


def _corners(polygon: Any) -> list[tuple[float, float]]:
    return [(corner.x, corner.y) for corner in polygon.vertices]


def _box(corners: Iterable[tuple[float, float]], size: Size) -> BoundingBox | None:
    """Around all corners (the polygons of tilted text are no rectangles); None without any."""
    points = list(corners)
    if not points:
        return None
    xs, ys = [_finite(x) / size[0] for x, _ in points], [_finite(y) / size[1] for _, y in points]
    return BoundingBox.clamped(min(xs), min(ys), max(xs), max(ys))


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ProviderProtocolError(f"{value} is not a finite number.")
    return value


def _fraction(value: float) -> float:
    if not -0.001 <= value <= 1.001:  # NaN is not within either
        raise ProviderProtocolError(f"A score of {value} is not within 0 and 1.")
    return min(max(value, 0.0), 1.0)
