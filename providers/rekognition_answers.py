"""Rekognition's answers, read: pure, and tested on recorded ones.

Boxes are fractions of the upright picture, and may reach outside of it. Confidences are percentages.
Source: https://docs.aws.amazon.com/rekognition/latest/APIReference/API_Types_Amazon_Rekognition.html
"""

from collections.abc import Callable, Iterator
from types import MappingProxyType

from providers.contract import Answer, BoundingBox, Detection, Feature
from providers.errors import ProviderProtocolError
from providers.faces import EMOTIONS, LANDMARKS
from providers.labels import moderation_label, own_label, rekognition_label
from providers.reading import Fields, fields, number, percent, rows, text
from providers.things import Sighting, things

NAME = "rekognition"

INSTANCES_MAX = 2_000
"""Boxes in one answer. Rekognition documents no limit; recorded answers have dozens."""

# The key that a real answer has, and its model's version.
_KEYS = MappingProxyType(
    {
        "DetectLabels": ("Labels", "LabelModelVersion"),
        "DetectFaces": ("FaceDetails", ""),
        "DetectText": ("TextDetections", "TextModelVersion"),
        "DetectModerationLabels": ("ModerationLabels", "ModerationModelVersion"),
    }
)


def parse(operation: str, answer: Fields, features: frozenset[Feature]) -> Answer:
    """What `operation` answered, for those of `features` that it serves.

    Raises:
        ProviderProtocolError: not an answer of this operation, whatever its HTTP status was.
    """
    key, version_key = _KEYS[operation]
    found = rows(answer, key, required=True)
    version = answer.get(version_key)
    metadata = answer.get("ResponseMetadata")
    return Answer(
        tuple(detection for feature in sorted(features) for detection in _DETECTIONS[feature](found)),
        f"{operation} {version}" if isinstance(version, str) else operation,
        metadata.get("RequestId") if isinstance(metadata, dict) else None,
    )


def _objects(labels: list[Fields]) -> list[Detection]:
    """Every boxed thing once. A label without `Instances` says what the picture is about, not where a thing is: it is no object."""
    sightings = [sighting for label in labels for sighting in _sightings(label)]
    if len(sightings) > INSTANCES_MAX:
        raise ProviderProtocolError(f"{len(sightings)} boxes in one answer; at most {INSTANCES_MAX} are read.")
    return things(sightings, NAME)


def _sightings(label: Fields) -> Iterator[Sighting]:
    instances = rows(label, "Instances")
    if not instances:
        return
    name = text(label, "Name")
    ancestors = _names(label, "Parents")
    canonical = rekognition_label(name, ancestors, kinds=True)
    wider = ancestors | _names(label, "Aliases")
    for instance in instances:
        yield Sighting(name, canonical, percent(instance), _box(instance), wider)


def _labels(labels: list[Fields]) -> list[Detection]:
    """What the picture shows, boxed or not. Several names of one canonical label are one."""
    by_label: dict[str, list[tuple[str, float]]] = {}
    for label in labels:
        name = text(label, "Name")
        canonical = rekognition_label(name, _names(label, "Parents"), kinds=False)
        by_label.setdefault(canonical or own_label(name), []).append((name, percent(label)))
    found = []
    for canonical, named in by_label.items():
        best_first = sorted(named, key=lambda pair: (-pair[1], pair[0].lower() != canonical))
        found.append(Detection("labels", canonical, best_first[0][1], None, NAME, ", ".join(name for name, _ in best_first)))
    return sorted(found, key=lambda detection: -detection.confidence)


def _faces(faces: list[Fields]) -> list[Detection]:
    return [Detection("faces", "face", percent(face), _box(face), NAME, "Face", attributes=_attributes(face)) for face in faces]


def _attributes(face: Fields) -> dict[str, object]:
    """In the vocabulary of `providers.faces`."""
    said: dict[str, object] = {}
    if "Pose" in face:
        pose = fields(face, "Pose")
        said["pose"] = {angle.lower(): number(pose, angle) for angle in ("Roll", "Pitch", "Yaw")}
    if "Quality" in face:
        quality = fields(face, "Quality")
        said["quality"] = {measure.lower(): percent(quality, measure) for measure in ("Brightness", "Sharpness")}
    if "AgeRange" in face:
        age = fields(face, "AgeRange")
        said["age_range"] = [number(age, "Low"), number(age, "High")]
    if emotions := rows(face, "Emotions"):
        named = ((text(emotion, "Type"), percent(emotion)) for emotion in emotions)
        said["emotions"] = {EMOTIONS.get(name, name.lower()): confidence for name, confidence in named}
    if landmarks := rows(face, "Landmarks"):
        named_points = ((text(point, "Type"), [number(point, "X"), number(point, "Y")]) for point in landmarks)
        said["landmarks"] = {LANDMARKS.get(name, _snake_case(name)): point for name, point in named_points}
    said.update({_snake_case(name): _judged(fields(face, name)) for name in _JUDGED if name in face})
    return said


_JUDGED = ("Smile", "Eyeglasses", "Sunglasses", "Gender", "Beard", "Mustache", "EyesOpen", "MouthOpen", "FaceOccluded")


def _judged(judgement: Fields) -> dict[str, object]:
    value = judgement.get("Value")
    if not isinstance(value, bool | str):
        raise ProviderProtocolError(f"Value is {value!r:.40}, neither true, false nor a word.")
    return {"value": value.lower() if isinstance(value, str) else value, "confidence": percent(judgement)}


def _snake_case(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


def _texts(found: list[Fields]) -> list[Detection]:
    """Lines; their words are in them."""
    return [
        Detection("text", "text", percent(line), _box(fields(line, "Geometry")), NAME, "LINE", text=text(line, "DetectedText"))
        for line in found
        if text(line, "Type") == "LINE"
    ]


def _moderation(labels: list[Fields]) -> list[Detection]:
    """Each category at its own level of the taxonomy: Violence, and Graphic Violence within it."""
    named = ((text(label, "Name"), percent(label)) for label in labels)
    return [Detection("moderation", moderation_label(name), confidence, None, NAME, name) for name, confidence in named]


_DETECTIONS: dict[Feature, Callable[[list[Fields]], list[Detection]]] = {
    "objects": _objects,
    "labels": _labels,
    "faces": _faces,
    "text": _texts,
    "moderation": _moderation,
}


def _box(of: Fields) -> BoundingBox:
    box = fields(of, "BoundingBox")
    left, top = number(box, "Left"), number(box, "Top")
    return BoundingBox.clamped(left, top, left + number(box, "Width"), top + number(box, "Height"))


def _names(label: Fields, key: str) -> frozenset[str]:
    return frozenset(text(row, "Name") for row in rows(label, key))
