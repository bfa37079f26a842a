"""From sightings to things: one thing under several names is one detection, several things under one name are several."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from providers.contract import BoundingBox, Detection
from providers.labels import own_label

RELATED_IOU_MIN = 0.7
"""Of boxes whose names are a kind of one another (Person, Woman), from here on they are one thing. Rekognition repeats the very box."""

UNRELATED_IOU_MIN = 0.9
"""Of boxes whose names say nothing of one another (Bicycle wheel, Tire), from here on: the same box but for rounding."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One box under one of a provider's names.

    Attributes:
        name: the provider's.
        canonical: its canonical label, if it has one.
        wider: names that hold for it too: ancestors and aliases.
        mid: Google's identifier of the name.
    """

    name: str
    canonical: str | None
    confidence: float
    box: BoundingBox
    wider: frozenset[str] = field(default=frozenset())
    mid: str = ""


def things(sightings: Iterable[Sighting], provider: str) -> list[Detection]:
    """Each thing once, as a detection with its most specific canonical label and all names that the provider gave it.

    Two sightings under one name are two things, however close they lie.
    """
    seen = sorted(sightings, key=lambda sighting: sighting.box.x_min)
    group_of = list(range(len(seen)))
    groups = {at: [at] for at in group_of}
    for _, one, other in sorted(_pairs(seen), key=lambda pair: -pair[0]):
        kept, joined = groups[group_of[one]], groups[group_of[other]]
        if kept is joined or {seen[at].name for at in kept} & {seen[at].name for at in joined}:
            continue
        del groups[group_of[other]]
        for at in joined:
            group_of[at] = group_of[one]
        kept += joined
    found = [_detection([seen[at] for at in group], provider) for group in groups.values()]
    return sorted(found, key=lambda detection: -detection.confidence)


def _pairs(seen: list[Sighting]) -> list[tuple[float, int, int]]:
    """(overlap, index, index) of all that may be one thing. `seen` is in the order of left edges."""
    pairs = []
    for one, sighting in enumerate(seen):
        reach = sighting.box.x_min + (1 - RELATED_IOU_MIN) * (sighting.box.x_max - sighting.box.x_min)
        for other in range(one + 1, len(seen)):
            candidate = seen[other]
            if candidate.box.x_min > reach:  # an overlap that large isn't possible any more
                break
            if candidate.name == sighting.name:
                continue
            overlap = intersection_over_union(sighting.box, candidate.box)
            related = candidate.name in sighting.wider or sighting.name in candidate.wider
            if overlap >= (RELATED_IOU_MIN if related else UNRELATED_IOU_MIN):
                pairs.append((overlap, one, other))
    return pairs


def intersection_over_union(one: BoundingBox, other: BoundingBox) -> float:
    """In [0, 1]; identical boxes are 1, also where they have no area."""
    if one == other:
        return 1.0
    width = min(one.x_max, other.x_max) - max(one.x_min, other.x_min)
    height = min(one.y_max, other.y_max) - max(one.y_min, other.y_min)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (_area(one) + _area(other) - shared)


def _area(box: BoundingBox) -> float:
    return (box.x_max - box.x_min) * (box.y_max - box.y_min)


def _detection(group: list[Sighting], provider: str) -> Detection:
    names = {sighting.name for sighting in group}
    # A name is more specific than another of the group when it has that other among its ancestors.
    by_rank = sorted(group, key=lambda sighting: (sighting.canonical is None, -len(sighting.wider & names), -sighting.confidence))
    named = by_rank[0]
    # By confidence; among equals the canonical label's own name (Person before Man), then the most specific.
    best_first = sorted(
        group, key=lambda sighting: (-sighting.confidence, not _speaks(sighting), -len(sighting.wider & names), sighting.name)
    )
    label = named.canonical or own_label(best_first[0].name, best_first[0].mid)
    return Detection("objects", label, best_first[0].confidence, best_first[0].box, provider, ", ".join(s.name for s in best_first))


def _speaks(sighting: Sighting) -> bool:
    return sighting.canonical is not None and sighting.canonical == sighting.name.lower()
