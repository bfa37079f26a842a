"""Reading another's answer: every value is checked, and a value that is not what it must be is a `ProviderProtocolError`."""

import math
from collections.abc import Mapping
from typing import cast

from providers.errors import ProviderProtocolError

Fields = Mapping[str, object]

_PERCENT_SLACK = 0.01
"""Confidences are single-precision sums: 100.00001 is 100."""


def text(of: Fields, name: str) -> str:
    """A string that must be there."""
    value = of.get(name)
    if not isinstance(value, str):
        raise ProviderProtocolError(f"{name} is {_kind(value)}, not a string.")
    return value


def number(of: Fields, name: str) -> float:
    """A finite number that must be there."""
    value = of.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ProviderProtocolError(f"{name} is {_kind(value)}, not a finite number.")
    return float(value)


def percent(of: Fields, name: str = "Confidence") -> float:
    """A percentage that must be there, as a fraction in [0, 1]."""
    value = number(of, name)
    if not -_PERCENT_SLACK <= value <= 100 + _PERCENT_SLACK:
        raise ProviderProtocolError(f"{name} is {value}, not within 0 and 100.")
    return min(max(value / 100.0, 0.0), 1.0)


def fields(of: Fields, name: str) -> Fields:
    """An object that must be there."""
    value = of.get(name)
    if not isinstance(value, Mapping):
        raise ProviderProtocolError(f"{name} is {_kind(value)}, not an object.")
    return cast("Fields", value)


def rows(of: Fields, name: str, *, required: bool = False) -> list[Fields]:
    """A list of objects; an absent one is empty unless it is `required`."""
    value = of.get(name)
    if value is None and not required:
        return []
    if not isinstance(value, list) or not all(isinstance(row, Mapping) for row in value):
        raise ProviderProtocolError(f"{name} is {_kind(value)}, not a list of objects.")
    return value


def _kind(value: object) -> str:
    return "absent" if value is None else f"{type(value).__name__} {value!r:.40}"
