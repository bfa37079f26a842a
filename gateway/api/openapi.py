"""`/openapi.json`: generated from the schemas that validate and from the errors that are raised."""

import inspect
import re
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from flask import Flask, Response, current_app, jsonify
from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema

from gateway import errors
from gateway.api.resource import OPEN, Description, GatewayResource, describes
from gateway.api.words import explain
from gateway.errors import GatewayError
from gateway.keys import Role
from gateway.wire.batch import IMAGES_MAX, NDJSON
from providers.images import KNOWN_FORMATS

if TYPE_CHECKING:
    from flask.views import View

_REF = "#/components/schemas/{model}"
_INTRODUCTION = """Image detection under exact budgets: send a picture, say what its answer may cost and how long it may take.
An admin makes [keys](/keys); once yours is entered under Authorize, everything can be tried here. The [pages](/) for people are beside it.

Every error is a problem document (RFC 9457): its `code` never changes meaning, its `detail` says what to do.
All of them are [explained](/docs/errors)."""
_CODES = sorted(error.code for error in GatewayError.__subclasses__())
_ALWAYS: tuple[type[GatewayError], ...] = (errors.MethodNotAllowed,)
_WITH_KEY: tuple[type[GatewayError], ...] = (errors.Unauthenticated, errors.Forbidden, errors.LedgerUnavailable)


class Problem(BaseModel):
    """RFC 9457. `code` never changes meaning; `detail` may."""

    type: str
    title: str
    status: int
    code: str = Field(description="Each operation says when.", json_schema_extra={"enum": [*_CODES]})
    detail: str
    request_id: str


class OpenApi(GatewayResource):
    """The description of this API."""

    roles: ClassVar[frozenset[Role]] = OPEN

    @describes(Description("This API as OpenAPI 3.1"))
    def get(self) -> Response:
        """Build it from what is routed."""
        return jsonify(Document(current_app).as_dict)


class Document:
    """One application's OpenAPI document."""

    def __init__(self, app: Flask) -> None:
        """Read what is routed in this application."""
        self._said = " (simulated)" if app.extensions["gateway"].settings.simulated else ""
        self._operations: list[tuple[str, str, type[View], Description]] = []
        for rule in app.url_map.iter_rules():  # in the order of `RESOURCES`: what most come for is first
            view = getattr(app.view_functions[rule.endpoint], "view_class", None)
            for method in sorted(rule.methods or ()):
                description = getattr(getattr(view, method.lower(), None), "description", None)
                if view is not None and description is not None:
                    self._operations.append((re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower(), view, description))

    @cached_property
    def as_dict(self) -> dict[str, Any]:
        """The document, as JSON types."""
        paths: dict[str, dict[str, Any]] = {}
        for path, method, view, description in self._operations:
            paths.setdefault(path, {})[method] = self._operation(path, view, description)
        models = {d.answers for *_, d in self._operations} | {d.body for *_, d in self._operations}
        named = sorted(((model, "serialization") for model in models if model), key=lambda pair: pair[0].__name__)
        _, schemas = models_json_schema([*named, (Problem, "serialization")], ref_template=_REF)  # type: ignore[list-item]
        explain(schemas["$defs"])
        return {
            "openapi": "3.1.0",
            "info": {"title": f"vision-gateway{self._said}", "version": "1", "description": _INTRODUCTION},
            "tags": [{"name": tag} for tag in dict.fromkeys(_tag(path) for path in paths)],
            "paths": paths,
            "components": {
                "schemas": schemas["$defs"],
                "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "An API key: vg_…"}},
            },
        }

    def _operation(self, path: str, view: Any, description: Description) -> dict[str, Any]:
        in_path = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in re.findall(r"{(\w+)}", path)]
        operation: dict[str, Any] = {
            "summary": description.summary,
            "tags": [_tag(path)],
            "parameters": in_path + _query_parameters(description.query),
            "responses": _responses(description, view.roles != OPEN),
        }
        if view.roles != OPEN:
            operation["security"] = [{"key": []}]
        if description.image:
            operation["requestBody"] = _image_body(description.query)
        elif description.file:
            operation["requestBody"] = _FILE_BODY
        elif description.batch:
            operation["requestBody"] = _batch_body(description.query)
        elif description.body:
            operation["requestBody"] = {
                "required": description.body_required,
                "content": {"application/json": {"schema": _ref(description.body)}},
            }
        return operation


def _tag(path: str) -> str:
    """What an address is about."""
    return path.split("/")[2] if path.startswith("/v1/") else "service"


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REF.format(model=model.__name__)}


def _responses(description: Description, needs_key: bool) -> dict[str, Any]:
    good: dict[str, Any] = {"description": "OK"}
    if description.answers:
        mimetype = NDJSON[0] if description.batch else "application/json"
        others = {other: {"schema": {"type": "string"} if other.startswith("text/") else _BYTES} for other in description.also}
        good["content"] = {mimetype: {"schema": _ref(description.answers)}, **others}
    responses = {str(description.status): good}
    if description.unready:
        responses["503"] = {"description": "Not ready", "content": {"application/json": {"schema": _ref(description.unready)}}}
    for error in (*_ALWAYS, *(_WITH_KEY if needs_key else ()), *description.errors):
        told = responses.setdefault(str(error.status), {"description": ""})
        told["description"] = f"{told['description']}\n\n`{error.code}`: {inspect.getdoc(error)} {error.remedy}".strip()
        told["content"] = {"application/problem+json": {"schema": _ref(Problem)}}
    return responses


def _query_parameters(model: type[BaseModel] | None) -> list[dict[str, Any]]:
    if model is None:
        return []
    properties = model.model_json_schema()["properties"]
    return [
        {"name": name, "in": "query", "required": False, "description": schema.get("description", ""), "schema": _without_null(schema)}
        for name, schema in properties.items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query string can't say null: leaving the parameter out says it."""
    alternatives = [one for one in schema.get("anyOf", [schema]) if one != {"type": "null"}]
    return {name: value for name, value in alternatives[0].items() if name not in {"description", "title", "default"}}


def _image_body(options: type[BaseModel] | None) -> dict[str, Any]:
    fields = {parameter["name"]: parameter["schema"] for parameter in _query_parameters(options)}
    picture = {"type": "string", "format": "binary"}
    in_json = {
        "oneOf": [
            {"type": "object", "properties": {"base64": {"type": "string", "contentEncoding": "base64"}}, "required": ["base64"]},
            {"type": "object", "properties": {"uri": {"type": "string", "format": "uri"}}, "required": ["uri"]},
        ]
    }
    content: dict[str, Any] = {f"image/{name}": {"schema": picture} for name in sorted(KNOWN_FORMATS)}
    content["multipart/form-data"] = {"schema": _object(fields | {"image": picture})}
    content["application/json"] = {"schema": _object(fields | {"image": in_json})}
    return {"required": True, "content": content}


def _batch_body(options: type[BaseModel] | None) -> dict[str, Any]:
    fields = {parameter["name"]: parameter["schema"] for parameter in _query_parameters(options)}
    pictures = {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1, "maxItems": IMAGES_MAX}
    lines = {"type": "string", "description": f"1 to {IMAGES_MAX} lines, each as the JSON of `POST /v1/detections`, and `name`."}
    content = {"multipart/form-data": {"schema": _object(fields | {"image": pictures})}, NDJSON[0]: {"schema": lines}}
    return {"required": True, "content": content}


def _object(properties: dict[str, Any], required: str = "image") -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": [required], "additionalProperties": False}


_BYTES = {"type": "string", "format": "binary"}
_FILE_TYPES = ("text/csv", "application/json", "application/x-ndjson", "application/gzip", "application/vnd.apache.parquet")
_FILE_BODY = {
    "required": True,
    "content": {
        **{mimetype: {"schema": _BYTES} for mimetype in _FILE_TYPES},
        "multipart/form-data": {"schema": _object({"file": _BYTES}, "file")},
    },
}
