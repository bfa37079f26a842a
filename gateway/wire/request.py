"""Reading a detection request in its three forms: raw bytes, multipart and JSON."""

import base64
import binascii
import io
import json
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser
from werkzeug.wrappers import Request

from gateway.errors import GatewayError, ImageTooLarge, InvalidImage, InvalidParameter, UnsupportedMediaType
from gateway.wire.body import BodyBroken, BodyTooLarge, drain, whole_body
from gateway.wire.mistakes import shown
from gateway.wire.options import Options
from providers import images

_OPTIONS_BYTES_MAX = 1 << 20
"""What options, part headers and boundaries may take beside the picture."""

_READ: dict[bytes, Options] = {}
_REMEMBERED_MAX = 256
_REMEMBERED_CHARS_MAX = 512
"""Of query strings that have been read, by their bytes. Options are frozen."""

_DEPTH_MAX = 8
_DIGITS_MAX = 100
_HOW = "Send the picture as the body with Content-Type: image/jpeg, as the multipart field `image`, or as JSON."


class DetectionRequest(NamedTuple):
    """A picture's bytes, or the address where they are, and what is asked of them."""

    content: bytes
    options: Options
    uri: str | None = None


def read_detection_request(request: Request, limits: images.ImageLimits) -> DetectionRequest:
    """The picture's bytes and the options. The picture is not looked at yet.

    Raises:
        GatewayError: what was sent is too large, of no known form, or has a wrong parameter.
    """
    mimetype = request.mimetype
    if mimetype.startswith("image/") or mimetype == "application/octet-stream":
        return DetectionRequest(_body(request, limits.content_bytes_max), _query_options(request))
    query = once(request.args)
    if mimetype == "multipart/form-data":
        return _read_multipart(request, query, limits.content_bytes_max)
    if mimetype == "application/json":
        return _read_json(request, query, limits.content_bytes_max)
    drain(request)
    sent = repr(mimetype) if mimetype else "none"
    raise UnsupportedMediaType(f"The Content-Type is {sent}. {_HOW}")


def body_error(error: BodyTooLarge | BodyBroken) -> GatewayError:
    """The problem that a client is told for a body that can't be read whole."""
    return ImageTooLarge(f"{error} Scale the picture down.") if isinstance(error, BodyTooLarge) else InvalidImage(str(error))


def _query_options(request: Request) -> Options:
    """Options that all stand in the query string. A backend sends the same ones again and again: they are read once."""
    written = request.query_string
    options = _READ.get(written)
    if options is None:
        options = Options.read(once(request.args))
        if len(written) <= _REMEMBERED_CHARS_MAX:
            if len(_READ) >= _REMEMBERED_MAX:
                _READ.clear()
            _READ[written] = options
    return options


def image_error(error: images.ImageError) -> GatewayError:
    """The problem that a client is told for a picture that can't be used."""
    if isinstance(error, images.ImageTooLarge):
        return ImageTooLarge(str(error))
    if isinstance(error, images.UnsupportedFormat):
        return UnsupportedMediaType(str(error))
    return InvalidImage(str(error))


def _read_multipart(request: Request, query: dict[str, Any], image_bytes_max: int) -> DetectionRequest:
    body = _body(request, image_bytes_max + _OPTIONS_BYTES_MAX)
    parser = FormDataParser(
        lambda *_, **__: io.BytesIO(),  # the body is in memory already; no temporary file
        max_form_memory_size=_OPTIONS_BYTES_MAX,
        max_form_parts=64,
        silent=False,  # a form that is cut short is an error, not an empty form
    )
    try:
        _, form, files = parser.parse(io.BytesIO(body), request.mimetype, len(body), request.mimetype_params)
    except RequestEntityTooLarge:
        raise InvalidParameter("body", "The form has more than 64 parts, or fields of more than 1 MiB.") from None
    except ValueError as error:
        raise InvalidParameter("body", f"The multipart body can't be read ({error}).") from None
    pictures = files.getlist("image")
    if len(pictures) != 1 or len(files) != 1:
        raise InvalidParameter("image", "Send exactly one file, as the multipart field `image`.")
    content = pictures[0].stream.read()
    return DetectionRequest(content, Options.read(merged(query, once(form))))


def _read_json(request: Request, query: dict[str, Any], image_bytes_max: int) -> DetectionRequest:
    document = parse_json(_body(request, json_bytes_max(image_bytes_max)))
    if not isinstance(document, dict):
        raise InvalidParameter("body", "The JSON body must be an object with the key `image`.")
    image = document.pop("image", None)
    return request_of(image, Options.read(merged(query, document)))


def json_bytes_max(image_bytes_max: int) -> int:
    """What a picture of so many bytes and its options may take as JSON."""
    return image_bytes_max * 4 // 3 + _OPTIONS_BYTES_MAX


def request_of(image: Any, options: Options) -> DetectionRequest:
    """A picture as JSON has it.

    Raises:
        InvalidParameter: it is none of the two forms, or not base64.
    """
    if not isinstance(image, dict) or len(image) != 1:
        raise InvalidParameter("image", 'Write the image as {"base64": "…"} or {"uri": "https://…"}.')
    if isinstance(image.get("uri"), str):
        return DetectionRequest(b"", options, image["uri"])
    if not isinstance(image.get("base64"), str):
        raise InvalidParameter("image", 'Write the image as {"base64": "…"} or {"uri": "https://…"}, each a string.')
    try:
        without_line_breaks = "".join(image["base64"].split())
        return DetectionRequest(base64.b64decode(without_line_breaks, validate=True), options)
    except (binascii.Error, ValueError):
        raise InvalidParameter("image.base64", "This is not base64 (RFC 4648, section 4, with padding).") from None


def parse_json(body: bytes) -> Any:
    """JSON, strictly: numbers exact, no duplicate keys, no NaN, at most eight levels deep.

    Raises:
        InvalidParameter: names `body`.
    """

    def no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) != len(pairs):
            raise ValueError("a key stands twice in one object")
        return dict(pairs)

    def no_constant(name: str) -> None:
        raise ValueError(f"{name} is no JSON number")

    try:
        document = json.loads(
            body.decode("utf-8-sig"),  # json.loads(bytes) would take UTF-16 and half characters too
            parse_int=_whole,
            parse_float=Decimal,
            parse_constant=no_constant,
            object_pairs_hook=no_duplicates,
        )
        _check(document, _DEPTH_MAX)
    except RecursionError:
        raise InvalidParameter("body", f"The body is nested too deep: at most {_DEPTH_MAX} levels.") from None
    except UnicodeError:
        raise InvalidParameter("body", "The body is not JSON in UTF-8, or a string of it is half a character (a lone surrogate).") from None
    except InvalidOperation:
        raise InvalidParameter("body", "The body is not valid JSON here: a number's exponent is absurd.") from None
    except ValueError as error:
        raise InvalidParameter("body", f"The body is not valid JSON ({error}).") from None
    return document


def _whole(digits: str) -> int:
    if len(digits) > _DIGITS_MAX:
        raise ValueError(f"a number has more than {_DIGITS_MAX} digits")
    return int(digits)


def _check(value: Any, levels: int) -> None:
    """No deeper than that, and every string one that can be written again."""
    if levels < 0:
        raise ValueError(f"nested too deep: at most {_DEPTH_MAX} levels")
    if isinstance(value, str) and not value.isascii():
        value.encode()
    elif isinstance(value, dict):
        for name, child in value.items():
            _check(name, levels)
            _check(child, levels - 1)
    elif isinstance(value, list):
        for child in value:
            _check(child, levels - 1)


def once(given: MultiDict[str, str]) -> dict[str, Any]:
    """Parameters, each given once. Raises `InvalidParameter`."""
    for name, values in given.lists():
        if len(values) > 1:
            raise InvalidParameter(
                shown(name), f"{shown(name)} is given {len(values)} times. Give it once; write several values with commas."
            )
    return given.to_dict()


def merged(query: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    """Parameters of the query string and of the body together. Raises `InvalidParameter`."""
    for name in query.keys() & body.keys():
        raise InvalidParameter(shown(name), f"{shown(name)} is given in the query string and in the body. Give it once.")
    return query | body


def _body(request: Request, bytes_max: int) -> bytes:
    try:
        return whole_body(request, bytes_max)
    except (BodyTooLarge, BodyBroken) as error:
        raise body_error(error) from error
