"""What the simulated company has done: who asked for what when, with office hours, quiet weekends and a little growth. Always the same."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

DAYS = 63
SEED = 20261122

_FLAKY_FOR = timedelta(days=3)
"""In the last days more calls than usual have ended without an answer: they may have been billed."""

CLIENTS = {
    "shop-backend": (0.40, {"team": ("shop",), "product": ("search", "search", "catalogue")}, "objects"),
    "moderation-queue": (0.26, {"team": ("trust",), "product": ("uploads",)}, "moderation"),
    "mobile-app": (0.20, {"team": ("mobile",), "campaign": ("autumn", "")}, "objects"),
    "claims-desk": (0.14, {"team": ("claims",), "product": ("scans",)}, "text"),
}
"""Share of the traffic, tags with their possible values ("" is none), and what they ask for."""

SKUS = {
    ("rekognition", "objects"): "DetectLabels",
    ("rekognition", "moderation"): "DetectModerationLabels",
    ("rekognition", "text"): "DetectText",
    ("google_vision", "objects"): "OBJECT_LOCALIZATION",
    ("google_vision", "moderation"): "SAFE_SEARCH_DETECTION",
    ("google_vision", "text"): "TEXT_DETECTION",
    ("local", "objects"): "picture",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """One request.

    Attributes:
        kind: call, in_house, hit or joined.
        ends: settled, unknown or released; of a call.
    """

    at: datetime
    client: str
    tags: dict[str, str]
    feature: str
    provider: str
    kind: str
    ends: str

    @property
    def sku(self) -> str:
        return SKUS[self.provider, self.feature]


def plan(end: datetime, days: int = DAYS, seed: int = SEED) -> list[Asked]:
    """Everything up to two minutes before `end`, in order."""
    chance = random.Random(seed)
    return [_asked(at, chance, 0.03 if at > end - _FLAKY_FOR else 0.006) for at in _moments(end, days, chance)]


def _moments(end: datetime, days: int, chance: random.Random) -> Iterator[datetime]:
    for day in range(days, -1, -1):
        midnight = (end - timedelta(days=day)).replace(hour=0, minute=0, second=0, microsecond=0)
        growth = 1 + 0.12 * (days - day) / max(1, days)
        busy = (180, 225, 232, 218, 172, 52, 38)[midnight.weekday()]
        count = round(chance.gauss(busy, busy * 0.08) * growth)
        hours = sorted(min(max(chance.gauss(14, 3.6), 0), 23.99) for _ in range(count))
        yield from (at for at in (midnight + timedelta(hours=hour) for hour in hours) if at < end - timedelta(minutes=2))


def _asked(at: datetime, chance: random.Random, unknown: float) -> Asked:
    (client,) = chance.choices(list(CLIENTS), [weight for weight, *_ in CLIENTS.values()])
    _, choices, feature = CLIENTS[client]
    tags = {name: value for name, values in choices.items() if (value := chance.choice(values))}
    luck, how = chance.random(), chance.random()
    ends = "unknown" if luck < unknown else "released" if luck > 0.986 else "settled"
    if how < 0.14:
        return Asked(at, client, tags, feature, chance.choice(("rekognition", "google_vision")), "hit" if how < 0.11 else "joined", ends)
    if feature == "objects" and how < 0.50:
        return Asked(at, client, tags, feature, "local", "in_house", ends)
    return Asked(at, client, tags, feature, "rekognition" if chance.random() < 0.7 else "google_vision", "call", ends)
