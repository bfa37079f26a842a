"""Finding an answer that was kept, and keeping one: under the picture's bytes, and under its pixels."""

import hashlib
import logging
import random
import time
from collections.abc import Callable, Iterable, Mapping

from gateway.cache.keys import Choices, Place, letters_of
from gateway.cache.near import NearIndex, look_of
from gateway.cache.store import Entry, Store
from gateway.cache.values import Kept, NotKept, keep, pack, unpack
from gateway.line import Line
from gateway.metering import Bill
from gateway.outcome import AnsweredCall, Near, Outcome
from gateway.wire.options import Options
from providers.contract import FEATURES, Feature
from providers.images import Image

log = logging.getLogger(__name__)

REFUSED_TTL_S = 300
"""A provider that would not take a picture is not asked again for so long; what it takes may change."""

_JITTER = 0.1
"""Answers kept in the same moment do not expire in the same moment."""

_REASON_CHARS_MAX = 200

_SEEN_AT_A_GLANCE = frozenset({"objects", "labels"})

Call = tuple[str, frozenset[Feature]]
"""A provider, and the features of one call of it."""


class Results:
    """The answers of one store, as the requests of one gateway see them."""

    def __init__(
        self,
        store: Store,
        lines: Mapping[str, Line],
        ttl_s: int,
        *,
        shared: bool = False,
        simulated: bool = False,
        now: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Keep answers of these providers for `ttl_s` seconds at most; `shared`: one client's answers serve the others."""
        self.store = store
        self._lines = lines
        self._ttl_s = ttl_s
        self._shared = shared
        self._choices = Choices(lines, simulated=simulated)
        self._now = now
        self._chance = chance
        self._models: dict[Call, str] = {}
        self._near = NearIndex(store)

    def place(self, options: Options, bill: Bill) -> Place | None:
        """Where the answer to a request is kept; None where it can't be."""
        choice = self._choices.of(options)
        return (
            None
            if choice is None
            else Place("shared" if self._shared else bill.tenant or bill.client, choice, letters_of(options.features))
        )

    def find(self, place: Place, digest: str) -> Kept | None:
        """The answer for these bytes, or one that holds more features."""
        key = place.bytes_key(digest)
        if kept := self._read(key, self.store.get(key)):
            return kept
        keys = [wider.bytes_key(digest) for wider in place.wider]
        return next((kept for key, value in self._found(keys) if (kept := self._read(key, value))), None)

    def find_same(self, place: Place, image: Image) -> Kept | None:
        """The answer for these pixels in other bytes; from now on it is under these bytes too, and expires as it would have."""
        for _, name in self._found([one.pixels_key(image.pixels_digest) for one in (place, *place.wider)]):
            key = name.decode("ascii", "replace")
            if kept := self._read(key, self.store.get(key)):
                same = kept.for_image(image)
                self._put(same, [Place(place.scope, place.choice, kept.features).bytes_key(image.digest)], ())
                return same
        return None

    def find_near(self, place: Place, image: Image, distance_max: int) -> tuple[Kept, Near] | None:
        """The answer of a picture that looks the same. It is never kept under this picture's name: others have not asked for that."""
        look = look_of(image)
        for distance, digest in self._near.nearest(place, look, distance_max) if look else ():
            key = place.bytes_key(digest)
            if kept := self._read(key, self.store.get(key)):
                return kept.for_image(image), Near(distance, digest)
        return None

    def keep(self, place: Place, outcome: Outcome) -> bytes | None:
        """Keep a complete answer, whole; as bytes. What money or time cut short is not kept, nor what is too large."""
        for call in outcome.calls:
            self._models[call.provider, call.features] = call.model
        if outcome.degraded or outcome.provider is None:
            return None
        kept = keep(outcome, place.features, int(self._now()))
        if set(outcome.options.features) <= _SEEN_AT_A_GLANCE and (look := look_of(outcome.image)):
            self._near.remember(place, outcome.image.digest, look, self._ttl_s)
        return self._put(kept, [place.bytes_key(outcome.image.digest)], [place.pixels_key(outcome.image.pixels_digest)])

    def brought(self, place: Place, value: bytes, image: Image) -> Kept | None:
        """What another process has brought, kept here too: it may have no store, or another one. None where it can't serve."""
        try:
            kept = unpack(value)
        except NotKept:
            return None
        if not self.is_current(kept.calls):
            return None
        same = kept.for_image(image)
        self._put(same, [place.bytes_key(image.digest)], [place.pixels_key(image.pixels_digest)])
        return same

    def refusals(self, place: Place, digest: str) -> dict[str, str]:
        """Providers that would not take this picture a moment ago, and what they said."""
        features = frozenset(feature for feature in FEATURES if feature[0] in place.features)
        calls = [
            (line.name, call.features) for line in self._lines.values() for call in line.provider.calls(features & line.provider.features)
        ]
        keys = [_refusal_key(place, call, digest) for call in calls]
        values = self.store.get_many(keys) if keys else []
        return {name: value.decode("utf-8", "replace") for (name, _), value in zip(calls, values, strict=True) if value}

    def remember_refusals(self, place: Place, digest: str, refused: Iterable[tuple[Call, str]]) -> None:
        """Providers that would not take this picture. A 429, a timeout or a 5xx is no refusal, and is never remembered."""
        entries = [
            Entry(_refusal_key(place, call, digest), reason[:_REASON_CHARS_MAX].encode(), self._jittered(REFUSED_TTL_S))
            for call, reason in refused
        ]
        if entries:
            self.store.put(entries)

    def _put(self, kept: Kept, keys: list[str], pointers: Iterable[str]) -> bytes | None:
        ttl_s = self._jittered(kept.kept_at + self._ttl_s - int(self._now()))
        try:
            value = pack(kept)
        except NotKept as error:
            log.info("cache.not_kept", extra={"reason": str(error)})
            return None
        if ttl_s > 0:
            entries = [Entry(key, value, ttl_s) for key in keys]
            self.store.put([*entries, *(Entry(pointer, keys[0].encode(), ttl_s) for pointer in pointers)])
        return value

    def _read(self, key: str, value: bytes | None) -> Kept | None:
        """What does not parse is a miss, and removed; so is the answer of a model that has been replaced since."""
        if value is None:
            return None
        try:
            kept = unpack(value)
        except NotKept:
            self.store.drop(key)
            return None
        return kept if self.is_current(kept.calls) else None

    def is_current(self, calls: Iterable[AnsweredCall]) -> bool:
        """Whether the models that answered then are those that were last seen to answer."""
        return all(self._models.get((call.provider, call.features), call.model) == call.model for call in calls)

    def _found(self, keys: list[str]) -> list[tuple[str, bytes]]:
        values = self.store.get_many(keys) if keys else []
        return [(key, value) for key, value in zip(keys, values, strict=True) if value is not None]

    def _jittered(self, ttl_s: float) -> int:
        return int(ttl_s * (1 - _JITTER * self._chance()))


def _refusal_key(place: Place, call: Call, digest: str) -> str:
    return place.refusal_key(call[0], letters_of(call[1]), digest)


def shared_key(place: Place, image: Image) -> str:
    """What identical requests of all processes have in common: the pixels, not the bytes."""
    return hashlib.sha256(place.pixels_key(image.pixels_digest).encode()).hexdigest()
