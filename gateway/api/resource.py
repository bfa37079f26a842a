"""What every resource is: who may use it, and how it describes itself."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from flask import Response
from flask_restful import Resource
from pydantic import BaseModel

from gateway.errors import GatewayError
from gateway.keys import Role
from gateway.parts import Parts

OPEN: frozenset[Role] = frozenset()
"""For `roles`: nobody needs a key here."""

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
        status: of that answer.
        body: the schema of a JSON body.
        query: the schema whose fields are query parameters.
        image: whether the body is a picture, in the three forms of `POST /v1/detections`.
        errors: what else may be answered.
    """

    summary: str
    answers: type[BaseModel] | None = None
    status: int = 200
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    image: bool = False
    errors: tuple[type[GatewayError], ...] = ()


def describes(description: Description) -> Callable[[Method], Method]:
    """Give a method its description."""

    def describe(method: Method) -> Method:
        method.description = description  # type: ignore[attr-defined]
        return method

    return describe


def json_response(answer: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A schema's instance as a response; what is None is left out."""
    return Response(answer.model_dump_json(exclude_none=True), status, headers, mimetype="application/json")
