"""What must be the same for a kept answer to serve a request: every part of a key is one reason why another request is another key.

    vg:1:b:SCOPE:CHOICE:FEATURES:BYTES     an answer, by the SHA-256 of the picture's bytes
    vg:1:p:SCOPE:CHOICE:FEATURES:PIXELS    the name of such a key, by the SHA-256 of the upright pixels
    vg:1:n:SCOPE:PROVIDER:FEATURES:BYTES   a provider's refusal of the picture, and why

SCOPE: the client's key, or `shared`. CHOICE: the providers that may answer, in which order of preference, and their models' versions.
FEATURES: their first letters, `fo` for faces and objects.
"""

import functools
import hashlib
from collections.abc import Mapping
from itertools import combinations
from typing import NamedTuple

from gateway.line import Line
from gateway.wire.options import Options
from providers import registry
from providers.contract import FEATURES

VERSION = 1
"""Of keys and values: another version's are never read."""

_LETTERS = {feature: feature[0] for feature in FEATURES}
_ALL = sorted(_LETTERS.values())
_SETS = ["".join(letters) for size in range(1, len(_ALL) + 1) for letters in combinations(_ALL, size)]
_WIDER = {one: tuple(other for other in _SETS if set(one) < set(other)) for one in _SETS}


class Place(NamedTuple):
    """Where a request's answer is kept, but for the picture."""

    scope: str
    choice: str
    features: str

    def bytes_key(self, digest: str) -> str:
        """Of the answer for a picture with these bytes."""
        return f"vg:{VERSION}:b:{self.scope}:{self.choice}:{self.features}:{digest}"

    def pixels_key(self, digest: str) -> str:
        """Of the name of an answer's key, for a picture with these pixels."""
        return f"vg:{VERSION}:p:{self.scope}:{self.choice}:{self.features}:{digest}"

    def refusal_key(self, provider: str, features: str, digest: str) -> str:
        """Of a provider's refusal."""
        return f"vg:{VERSION}:n:{self.scope}:{provider}:{features}:{digest}"

    @property
    def wider(self) -> "tuple[Place, ...]":
        """Places whose answers hold this one's features among others."""
        return tuple(Place(self.scope, self.choice, features) for features in _WIDER[self.features])


@functools.lru_cache(maxsize=256)
def letters_of(features: frozenset[str] | tuple[str, ...]) -> str:
    """Features as keys write them."""
    return "".join(sorted({_LETTERS[feature] for feature in features}))  # type: ignore[index]


class Choices:
    """The CHOICE part of keys, remembered."""

    def __init__(self, lines: Mapping[str, Line], *, simulated: bool) -> None:
        """Of these providers; answers of stand-ins are never taken for real ones."""
        self._lines = lines
        self._simulated = simulated
        self._all = tuple(lines)
        self._known: dict[tuple[object, ...], str] = {}

    def of(self, options: Options) -> str | None:
        """None where nobody can answer, or the request names a provider that there is not: it is told so.

        A request that allows one provider only is the same whatever its strategy; in `cheapest` and `fastest` the order in which providers
        are named says nothing.
        """
        names = self._all
        if options.providers:
            names = tuple(name for name in options.providers if name in self._lines)
            if not names or (len(names) < len(options.providers) and not set(options.providers) <= {*names, *registry.names()}):
                return None
        strategy = options.strategy
        models = tuple(self._lines[name].provider.model for name in names)
        if strategy in {"cheapest", "fastest"}:
            names, models = zip(*sorted(zip(names, models, strict=True)), strict=True)
        said = ("only" if len(names) == 1 else strategy, self._simulated, names, models)
        choice = self._known.get(said)
        if choice is None:
            choice = hashlib.sha256(repr(said).encode()).hexdigest()[:24]
            if len(self._known) < 1000:
                self._known[said] = choice
        return choice
