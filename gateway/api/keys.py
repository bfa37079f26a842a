"""`/v1/keys`: who may call."""

from typing import Annotated, ClassVar

from flask import Response, request
from pydantic import BaseModel, ConfigDict, Field

from gateway import errors
from gateway.api.resource import Description, GatewayResource, describes, json_response, read_body
from gateway.errors import Conflict, NotFound
from gateway.keys import KeyNameTaken, Role
from gateway.wire.keys import KeyIn, KeyOut, facts, make_key


class NewKeyOut(KeyOut):
    """A key and, this once, its token."""

    key: Annotated[str, Field(description="Shown once. Send it as Authorization: Bearer …")]


class KeyListOut(BaseModel):
    """Every key in use."""

    model_config = ConfigDict(extra="forbid")

    keys: Annotated[list[KeyOut], Field(description="The oldest first.")]


class KeysOfAll(GatewayResource):
    """All keys."""

    roles: ClassVar[frozenset[Role]] = frozenset({"admin"})

    @describes(Description("Every key in use, without its secret", answers=KeyListOut))
    def get(self) -> Response:
        """List them."""
        return json_response(KeyListOut(keys=[KeyOut(**facts(key)) for key in self.parts.keys.all()]))

    @describes(
        Description(
            "Make a key; its token is shown once", NewKeyOut, status=201, body=KeyIn, errors=(errors.Conflict, errors.InvalidParameter)
        )
    )
    def post(self) -> Response:
        """Make one."""
        asked = read_body(KeyIn, request)
        try:
            key, token = make_key(self.parts.keys, asked)
        except KeyNameTaken as error:
            raise Conflict(str(error)) from error
        return json_response(NewKeyOut(**facts(key), key=token), 201)


class KeyOfName(GatewayResource):
    """One key."""

    roles: ClassVar[frozenset[Role]] = frozenset({"admin"})

    @describes(Description("Make a key useless, by its name or id", status=204, errors=(errors.NotFound,)))
    def delete(self, name: str) -> Response:
        """Revoke it."""
        if not self.parts.keys.revoke(name):
            raise NotFound(f"No key in use has the name or id {name!r}; GET /v1/keys lists them.")
        return Response(status=204)
