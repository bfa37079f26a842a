"""What every resource is: who may use it, and how it describes itself."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from flask import Request, Response
from flask_restful import Resource
from pydantic import BaseModel, ValidationError
from werkzeug.datastructures import MultiDict

from gateway.errors import GatewayError, InvalidParameter
from gateway.keys import Role
from gateway.parts import Parts
from gateway.wire.body import BodyBroken, BodyTooLarge, whole_body
from gateway.wire.mistakes import first_mistake
from gateway.wire.request import parse_json

_BODY_BYTES_MAX = 1 << 16

OPEN: frozenset[Role] = frozenset()
"""For `roles`: nobody needs a key here."""

Schema = TypeVar("Schema", bound=BaseModel)
Method = TypeVar("Method", bound=Callable[..., object])


class GatewayResource(Resource):
    """A resource made with the parts it uses.

    Attributes:
        roles: whose keys may use it; `admin` always may. `OPEN` asks for no key.
    """

    roles: ClassVar[frozenset[Role]]

    def __init__(self, parts: Parts) -> None:
        self.parts = parts


@dataclass(frozen=True)
class Description:
    """What the OpenAPI document says of a method.

    Attributes:
        summary: one line.
        answers: the schema of a 2xx answer.
        also: in which other forms that answer comes.
        status: of that answer.
        body: the schema of a JSON body.
        query: the schema whose fields are query parameters.
        unready: the schema of a 503 that is an answer, not a problem.
        image: whether the body is a picture, in the three forms of `POST /v1/detections`.
        file: whether the body is a file, raw or as the form field `file`.
        body_required: whether `body` must be sent.
        batch: whether it is many, and `answers` the schema of one line of NDJSON.
        errors: what else may be answered.
    """

    summary: str
    answers: type[BaseModel] | None = None
    also: tuple[str, ...] = ()
    status: int = 200
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    unready: type[BaseModel] | None = None
    image: bool = False
    file: bool = False
    body_required: bool = True
    batch: bool = False
    errors: tuple[type[GatewayError], ...] = ()


def describes(description: Description) -> Callable[[Method], Method]:
    """Give a method its description."""

    def describe(method: Method) -> Method:
        method.description = description  # type: ignore[attr-defined]
        return method

    return describe


def read_query(schema: type[Schema], given: MultiDict[str, str]) -> Schema:
    """The query parameters.

    Raises:
        InvalidParameter: the first that is unknown, wrong or given twice.
    """
    for name, values in given.lists():
        if len(values) > 1:
            raise InvalidParameter(name, f"{name} is given {len(values)} times. Give it once.")
    return _validated(schema, given.to_dict())


def read_body(schema: type[Schema], request: Request) -> Schema:
    """A small JSON body.

    Raises:
        InvalidParameter: no JSON, too much of it, or the first key that is unknown or wrong.
    """
    try:
        body = whole_body(request, _BODY_BYTES_MAX)
    except (BodyTooLarge, BodyBroken) as error:
        raise InvalidParameter("body", str(error)) from error
    return _validated(schema, parse_json(body))


def _validated(schema: type[Schema], given: object) -> Schema:
    try:
        return schema.model_validate(given)
    except ValidationError as error:
        raise first_mistake(error, schema) from None


def json_response(answer: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A schema's instance as a response; what is None is left out."""
    return Response(answer.model_dump_json(exclude_none=True), status, headers, mimetype="application/json")
