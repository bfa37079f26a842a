"""One language for what is seen: canonical labels (COCO's 80) for the providers' own names.

The table is `label_map.csv`. Beside the one name of each provider it has other names of the same thing (`rekognition_same`) and names
of kinds of it (`rekognition_kinds`, `google_kind_mids`): a box around a Man is a box around a person, while among labels "man" says more.
"""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from providers.contract import Feature

# What a word means that names two things. Rekognition has one Mouse and tells by its ancestors; Google tells by its mid.
_ANIMAL_MOUSE = "mouse (animal)"
_REKOGNITION_ANIMAL = "Animal"
_GOOGLE_ANIMAL_MOUSE = "/m/04rmv"

# The clouds' moderation taxonomies meet in three places.
# Sources: https://docs.aws.amazon.com/rekognition/latest/dg/moderation.html (versions 6.1 and 7.0),
# https://cloud.google.com/vision/docs/reference/rpc/google.cloud.vision.v1#safesearchannotation
_MODERATION = {
    "explicit nudity": "explicit",
    "explicit": "explicit",
    "adult": "explicit",
    "suggestive": "suggestive",
    "non-explicit nudity of intimate parts and kissing": "suggestive",
    "swimwear or underwear": "suggestive",
    "racy": "suggestive",
    "violence": "violence",
}


_ACTIVITIES = frozenset({"skis", "snowboard"})
"""Rekognition's names for them, Skiing and Snowboarding, are activities, which it does not box. Source: its vocabulary of version 3."""


@dataclass(frozen=True, slots=True)
class _Names:
    """Canonical labels by a provider's own names (Rekognition) or mids (Google)."""

    same: dict[str, str]
    kinds: dict[str, str]


def rekognition_label(name: str, ancestors: frozenset[str], *, kinds: bool) -> str | None:
    """The canonical label of Rekognition's `name`, or None.

    Args:
        name: Rekognition's.
        ancestors: the names of the label's `Parents`, which tell homonyms apart.
        kinds: whether a kind of the thing is the thing.
    """
    if name == "Mouse" and _REKOGNITION_ANIMAL in ancestors:
        return _ANIMAL_MOUSE
    names = _table()["rekognition"]
    return names.same.get(name) or (names.kinds.get(name) if kinds else None)


def google_label(mid: str, *, kinds: bool) -> str | None:
    """The canonical label of Google's `mid`, or None. Never by name: Google's names change, and one word names two things."""
    if mid == _GOOGLE_ANIMAL_MOUSE:
        return _ANIMAL_MOUSE
    mids = _table()["google"]
    return mids.same.get(mid) or (mids.kinds.get(mid) if kinds else None)


def own_label(name: str, mid: str = "") -> str:
    """What has no canonical label keeps the provider's name, in lower case.

    A mid that is not a canonical thing's may not speak its word ("orange" is a colour too): it is told by its mid.
    """
    label = name.lower()
    return f"{label} ({mid})" if mid and label in _table()["coco"].same else label


def moderation_label(name: str) -> str:
    """The canonical name of what a provider moderates, else the provider's own in lower case."""
    return _MODERATION.get(name.lower(), name.lower())


def known_labels(provider: str, feature: Feature) -> frozenset[str]:
    """The canonical labels that a provider has a name for; it may say others besides. Empty where nothing is known of it.

    Args:
        provider: its name.
        feature: `objects` or `labels`; the taxonomies of moderation are `moderation`'s.
    """
    if feature == "moderation":
        return frozenset(_MODERATION.values()) if provider in {"rekognition", "google_vision"} else frozenset()
    names = _table().get({"local": "coco", "local_candidate": "coco", "google_vision": "google"}.get(provider, provider))
    if names is None or feature not in {"objects", "labels"}:
        return frozenset()
    labels = frozenset(names.same.values())
    return labels - _ACTIVITIES if provider == "rekognition" and feature == "objects" else labels


@cache
def _table() -> dict[str, _Names]:
    coco, rekognition, google = _Names({}, {}), _Names({}, {}), _Names({}, {})
    with files("providers").joinpath("label_map.csv").open(encoding="utf-8") as table:
        for row in csv.DictReader(table):
            label = row["coco"]
            coco.same[label] = label
            google.same[row["google_mid"]] = label
            rekognition.same.update(dict.fromkeys((row["rekognition"], *_listed(row["rekognition_same"])), label))
            rekognition.kinds.update(dict.fromkeys(_listed(row["rekognition_kinds"]), label))
            google.kinds.update({kind.rpartition(":")[2]: label for kind in _listed(row["google_kind_mids"])})
    return {"coco": coco, "rekognition": rekognition, "google": google}


def _listed(cell: str) -> list[str]:
    return [name for name in cell.split("|") if name]
