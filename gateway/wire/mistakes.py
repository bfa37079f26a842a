"""What is wrong with a client's input, in plain words: which field, and what to write there."""

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, BeforeValidator, ValidationError

from gateway.errors import InvalidParameter

_SHOWN_CHARS = 64
"""Of a name that a client made up."""

_DATE = "write a day such as 2026-11-30"

_WORDS: Mapping[str, Callable[[dict[str, Any]], str]] = {
    "missing": lambda _: "it is missing",
    "literal_error": lambda told: f"write one of {told['expected'].replace(' or ', ', ')}",
    "bool_parsing": lambda _: "write true or false",
    "bool_type": lambda _: "write true or false",
    "list_type": lambda _: "write a list",
    "tuple_type": lambda _: "write a list",
    "model_type": lambda _: "write an object",
    "model_attributes_type": lambda _: "write an object",
    "dict_type": lambda _: "write an object",
    "string_type": lambda _: "write a text",
    "string_too_short": lambda told: f"write at least {told['min_length']} characters",
    "string_too_long": lambda told: f"write at most {told['max_length']} characters",
    "too_short": lambda told: f"at least {told['min_length']} are needed",
    "too_long": lambda told: f"at most {told['max_length']} are taken",
    "decimal_type": lambda _: "write a number",
    "decimal_parsing": lambda _: "write a number",
    "date_parsing": lambda _: _DATE,
    "date_from_datetime_parsing": lambda _: _DATE,
    "date_from_datetime_inexact": lambda _: _DATE,
    "date_type": lambda _: _DATE,
    "float_type": lambda _: "write a number",
    "float_parsing": lambda _: "write a number",
    "finite_number": lambda _: "write a number",
    "int_type": lambda _: "write a whole number",
    "int_parsing": lambda _: "write a whole number",
    "int_from_float": lambda _: "write a whole number",
    "greater_than_equal": lambda told: f"write a number of at least {told['ge']}",
    "greater_than": lambda told: f"write a number above {told['gt']}",
    "less_than": lambda told: f"write a number below {told['lt']}",
    "less_than_equal": lambda told: f"write a number of at most {told['le']}",
}
"""By the kind of pydantic's error. Source: https://docs.pydantic.dev/latest/errors/validation_errors/"""


def first_mistake(error: ValidationError, schema: type[BaseModel], besides: tuple[str, ...] = ()) -> InvalidParameter:
    """The first thing that is wrong.

    Args:
        error: of the schema's validation.
        schema: whose fields there are.
        besides: more names that are taken beside them.
    """
    first = error.errors(include_url=False)[0]
    place = _place_of(first["loc"])
    if first["type"] == "extra_forbidden":
        known = [field.alias or name for name, field in schema.model_fields.items()]
        there_are = f" There are: {', '.join((*besides, *known))}." if len(first["loc"]) == 1 else ""
        close = get_close_matches(place, known, n=1)
        meant = f" Did you mean {close[0]}?" if close and there_are else ""
        return InvalidParameter(place, f"There is no parameter {place!r}.{meant}{there_are}")
    words = _WORDS.get(first["type"])
    said = words(first.get("ctx", {})) if words else first["msg"].removeprefix("Value error, ")
    return InvalidParameter(place, f"{place}: {said}.")


def _place_of(path: tuple[int | str, ...]) -> str:
    """`arms.1.weight`; a list's own member is called by the list, and a name by itself."""
    while path and (isinstance(path[-1], int) or path[-1] == "[key]"):
        path = path[:-1]
    return ".".join(shown(str(part)) for part in path) or "body"


def spelt(pattern: str, words: str) -> BeforeValidator:
    """For a text that has a pattern, which the OpenAPI document shows: the words in which a client is told of it."""

    def check(value: object) -> object:
        if isinstance(value, str) and not re.search(pattern, value):
            raise ValueError(words)
        return value

    return BeforeValidator(check)


def shown(name: str) -> str:
    """A name that a client made up, as far as it is repeated to it."""
    return name if len(name) <= _SHOWN_CHARS else f"{name[:_SHOWN_CHARS]}…"
