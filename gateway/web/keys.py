"""`/keys`: who may call, for admins. A new key's secret is on the answer to the form that made it, and never again."""

from typing import ClassVar

from flask import Response, request
from pydantic import ValidationError

from gateway.errors import NotFound
from gateway.keys import ROLES, KeyNameTaken, Role
from gateway.web.page import Page, see
from gateway.wire.keys import KeyIn, make_key
from gateway.wire.mistakes import first_mistake

_ADMIN: frozenset[Role] = frozenset({"admin"})
_LIMITS = ("requests_per_s", "pixels_per_s")
_EMPTY = {"name": "", "role": "app", "tags": "", **dict.fromkeys(_LIMITS, "")}


class KeysPage(Page):
    """All keys in use, and the form that makes one."""

    roles: ClassVar[frozenset[Role]] = _ADMIN
    title: ClassVar[str] = "Keys"
    word: ClassVar[str] = "Keys"

    def get(self) -> Response:
        """Show them."""
        return self._shown(_EMPTY)

    def post(self) -> Response:
        """Make one, and show its secret this once."""
        typed = {name: request.form.get(name, "").strip() for name in _EMPTY}
        try:
            limits = {name: typed[name] for name in _LIMITS if typed[name]}
            asked = KeyIn(name=typed["name"], role=typed["role"], tags=_tags(typed["tags"]), rate_limit=limits)
            key, token = make_key(self.parts.keys, asked)
        except ValidationError as error:
            return self._shown(typed, problem=first_mistake(error, KeyIn).detail)
        except (KeyNameTaken, ValueError) as error:
            return self._shown(typed, problem=str(error))
        return self._shown(_EMPTY, made=key.name, token=token)

    def _shown(self, typed: dict[str, str], *, problem: str = "", made: str = "", token: str = "") -> Response:
        return self.page(
            "keys.html",
            422 if problem else 200,
            keys=self.parts.keys.all(),
            typed=typed,
            roles=ROLES,
            problem=problem,
            made=made,
            token=token,
            address=request.host_url.rstrip("/"),
        )


class KeyEnd(Page):
    """Where a key ends."""

    roles: ClassVar[frozenset[Role]] = _ADMIN
    title: ClassVar[str] = "Revoke a key"

    def post(self, name: str) -> Response:
        """Revoke it."""
        if not self.parts.keys.revoke(name):
            raise NotFound(f"No key in use has the name or id {name!r}.")
        return see("/keys")


def _tags(text: str) -> dict[str, str]:
    """`team:shop, product:search`.

    Raises:
        ValueError: a tag that is not NAME:VALUE.
    """
    tags = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, colon, value = (text.strip() for text in part.partition(":"))
        if not colon or name in tags:
            raise ValueError(f"Tags: {part!r} is not NAME:VALUE, or names a tag twice.")
        tags[name] = value
    return tags
