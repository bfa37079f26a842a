import base64
import json
import socket
import threading
from collections.abc import Iterator

import pytest
from gunicorn.app.base import BaseApplication
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request, Response

from cost.money import Money
from gateway.errors import GatewayError, ImageTooLarge, InvalidParameter, UnsupportedMediaType
from gateway.wire.request import DetectionRequest, parse_json, read_detection_request
from providers.images import ImageLimits

LIMITS = ImageLimits(content_bytes_max=10_000)
PICTURE = b"\xff\xd8\xff any bytes: the wire does not look at them"
AS_BASE64 = base64.b64encode(PICTURE).decode()


def read(body: bytes, content_type: str, query: str = "", limits: ImageLimits = LIMITS) -> DetectionRequest:
    environ = EnvironBuilder(method="POST", query_string=query, input_stream=None, data=body, content_type=content_type).get_environ()
    return read_detection_request(Request(environ), limits)


def part(name: str, body: bytes, extra: str = "") -> bytes:
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n'.encode() + body + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--b--\r\n"


MULTIPART = "multipart/form-data; boundary=b"
FILE = '; filename="a.jpg"'
IMAGE = part("image", PICTURE, FILE)
OPTIONS = {"max_cost_usd": "0.001", "min_confidence": "0.25", "features": "objects,text", "tags": "team:search", "dry_run": "true"}

FORMS = {
    "raw, options in the query": (PICTURE, "image/jpeg", "&".join(f"{k}={v}" for k, v in OPTIONS.items())),
    "raw, of any type": (PICTURE, "application/octet-stream", "&".join(f"{k}={v}" for k, v in OPTIONS.items())),
    "form, options as fields": (form(IMAGE, *(part(k, v.encode()) for k, v in OPTIONS.items())), MULTIPART, ""),
    "form, options in the query": (form(IMAGE), MULTIPART, "&".join(f"{k}={v}" for k, v in OPTIONS.items())),
    "json": (json.dumps({"image": {"base64": AS_BASE64}, **OPTIONS}).encode(), "application/json; charset=utf-8", ""),
    "json, in JSON's own types": (
        b'{"max_cost_usd": 1e-3, "min_confidence": 0.25, "features": ["objects", "text"], "tags": {"team": "search"}, "dry_run": true, '
        b'"image": {"base64": "' + AS_BASE64.encode() + b'"}}',
        "application/json",
        "",
    ),
    "json with a byte order mark": (
        b"\xef\xbb\xbf" + json.dumps({"image": {"base64": AS_BASE64}, **OPTIONS}).encode(),
        "application/json",
        "",
    ),
}


@pytest.mark.parametrize(("body", "content_type", "query"), FORMS.values(), ids=FORMS)
def test_three_forms_say_the_same(body, content_type, query):
    asked = read(body, content_type, query)
    assert asked.content == PICTURE
    options = asked.options
    assert (options.max_cost_usd, options.min_confidence) == (Money(1_000_000), 0.25)
    assert (options.features, options.tags, options.dry_run) == (("objects", "text"), {"team": "search"}, True)


def test_a_file_name_is_never_looked_at():
    for name in ("../../etc/passwd", "a" * 1000, "x.exe", "\\u0000", "%00", "a;b"):
        assert read(form(part("image", PICTURE, f'; filename="{name}"')), MULTIPART).content == PICTURE


def test_base64_may_be_wrapped():
    wrapped = "\r\n".join(AS_BASE64[i : i + 16] for i in range(0, len(AS_BASE64), 16))
    assert read(json.dumps({"image": {"base64": wrapped}}).encode(), "application/json").content == PICTURE


BASE64_OBJECT = json.dumps({"base64": AS_BASE64}).encode()


def with_option(text: bytes) -> bytes:
    return b'{"image": ' + BASE64_OBJECT + b", " + text + b"}"


JSON, BODY = "application/json", "body"
REFUSED = {
    "no content type": (PICTURE, "", UnsupportedMediaType, None),
    "text": (PICTURE, "text/plain", UnsupportedMediaType, None),
    "urlencoded": (b"image=x", "application/x-www-form-urlencoded", UnsupportedMediaType, None),
    "too large": (bytes(10_001), "image/jpeg", ImageTooLarge, None),
    "json too large": (bytes(1_100_000), JSON, ImageTooLarge, None),
    "empty json": (b"", JSON, InvalidParameter, BODY),
    "a list": (b"[]", JSON, InvalidParameter, BODY),
    "cut json": (b'{"image": {"base64": "', JSON, InvalidParameter, BODY),
    "two documents": (b"{} {}", JSON, InvalidParameter, BODY),
    "deep": (b"[" * 10_000 + b"]" * 10_000, JSON, InvalidParameter, BODY),
    "deep, not closed": (b'{"a":' * 10_000, JSON, InvalidParameter, BODY),
    "deep in an option": (with_option(b'"tags": ' + b"[" * 20 + b"]" * 20), JSON, InvalidParameter, BODY),
    "key twice": (with_option(b'"cache": "off", "cache": "use"'), JSON, InvalidParameter, BODY),
    "NaN": (with_option(b'"min_confidence": NaN'), JSON, InvalidParameter, BODY),
    "Infinity": (with_option(b'"min_confidence": -Infinity'), JSON, InvalidParameter, BODY),
    "1e400": (with_option(b'"min_confidence": 1e400'), JSON, InvalidParameter, "min_confidence"),
    "an absurd exponent": (with_option(b'"max_cost_usd": 1e99999999999999999999'), JSON, InvalidParameter, BODY),
    "a large exponent": (with_option(b'"max_cost_usd": 1e999999999'), JSON, InvalidParameter, "max_cost_usd"),
    "thousands of digits": (with_option(b'"deadline_ms": ' + b"9" * 10_000), JSON, InvalidParameter, BODY),
    "a long fraction": (with_option(b'"max_cost_usd": 0.' + b"1" * 10_000), JSON, InvalidParameter, "max_cost_usd"),
    "a lone surrogate": (with_option(b'"tags": {"a": "\\ud800"}'), JSON, InvalidParameter, BODY),
    "a lone surrogate as a name": (with_option(b'"\\udfff": 1'), JSON, InvalidParameter, BODY),
    "UTF-16": (json.dumps({"image": {}}).encode("utf-16"), JSON, InvalidParameter, BODY),
    "Latin-1": ('{"tags": "a:é"}'.encode("latin-1"), JSON, InvalidParameter, BODY),
    "unknown option": (with_option(b'"colour": 1'), JSON, InvalidParameter, "colour"),
    "price of one's own": (with_option(b'"price_usd": "0"'), JSON, InvalidParameter, "price_usd"),
    "no image": (b"{}", JSON, InvalidParameter, "image"),
    "image as text": (b'{"image": "x"}', JSON, InvalidParameter, "image"),
    "image with two keys": (b'{"image": {"base64": "", "uri": "x"}}', JSON, InvalidParameter, "image"),
    "image of another key": (b'{"image": {"url": "x"}}', JSON, InvalidParameter, "image"),
    "base64 of a number": (b'{"image": {"base64": 5}}', JSON, InvalidParameter, "image"),
    "no base64": (b'{"image": {"base64": "%%%%"}}', JSON, InvalidParameter, "image.base64"),
    "base64 without padding": (b'{"image": {"base64": "abcde"}}', JSON, InvalidParameter, "image.base64"),
    "base64 of other letters": (b'{"image": {"base64": "\xc3\xa9\xc3\xa9"}}', JSON, InvalidParameter, "image.base64"),
    "no boundary": (form(IMAGE), "multipart/form-data", InvalidParameter, BODY),
    "another boundary": (form(IMAGE), "multipart/form-data; boundary=c", InvalidParameter, BODY),
    "a form cut short": (IMAGE[:-10], MULTIPART, InvalidParameter, BODY),
    "an empty form": (b"", MULTIPART, InvalidParameter, "image"),
    "1,001 parts": (form(*[part(f"a{i}", b"") for i in range(1001)]), MULTIPART, InvalidParameter, BODY),
    "1,001 files": (form(*[part("image", b"", FILE)] * 1001), MULTIPART, InvalidParameter, BODY),
    "a field of 1 MB": (form(part("tags", b"x" * 1_048_577)), "multipart/form-data; boundary=b", GatewayError, BODY),
    "two images": (form(IMAGE, IMAGE), MULTIPART, InvalidParameter, "image"),
    "another file": (form(IMAGE, part("mask", b"x", FILE)), MULTIPART, InvalidParameter, "image"),
    "image as a field": (form(part("image", b"x")), MULTIPART, InvalidParameter, "image"),
    "a field twice": (form(IMAGE, part("cache", b"off"), part("cache", b"off")), MULTIPART, InvalidParameter, "cache"),
    "an unknown field": (form(IMAGE, part("colour", b"red")), MULTIPART, InvalidParameter, "colour"),
    "a part without a name": (form(IMAGE, b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n"), MULTIPART, InvalidParameter, None),
}


def test_an_address_is_passed_on_unread():
    asked = read(b'{"image": {"uri": "https://images.example/1.jpg"}, "max_results": 1}', "application/json")
    assert (asked.uri, asked.content, asked.options.max_results) == ("https://images.example/1.jpg", b"", 1)


@pytest.mark.parametrize(("body", "content_type", "error", "parameter"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_read_is_a_4xx_that_says_what_to_do(body, content_type, error, parameter):
    limits = ImageLimits(content_bytes_max=2_000_000) if len(body) > 1_040_000 and content_type == MULTIPART else LIMITS
    with pytest.raises(error) as refused:
        read(body, content_type, limits=limits)
    assert 400 <= refused.value.status < 500
    assert 20 < len(refused.value.detail) < 400
    if parameter:
        assert refused.value.members == {"parameter": parameter}


QUERIES = {
    "twice": ("cache=off&cache=use", "cache"),
    "unknown": ("colour=red", "colour"),
    "empty": ("features=", "features"),
    "control characters": ("tags=a:%00", "tags"),
    "not UTF-8": ("strategy=%ff", "strategy"),
}


@pytest.mark.parametrize(("query", "parameter"), QUERIES.values(), ids=QUERIES)
def test_a_wrong_query_is_refused_by_name(query, parameter):
    with pytest.raises(InvalidParameter) as refused:
        read(PICTURE, "image/jpeg", query)
    assert refused.value.members == {"parameter": parameter}


def test_an_option_in_the_query_and_in_the_body_is_refused():
    for body, content_type in ((form(IMAGE, part("cache", b"off")), MULTIPART), (with_option(b'"cache": "off"'), JSON)):
        with pytest.raises(InvalidParameter, match="cache"):
            read(body, content_type, "cache=off")


def test_json_numbers_are_exact():
    assert str(parse_json(b"[0.1, 1e-9, 12345678901234567890]")) == "[Decimal('0.1'), Decimal('1E-9'), 12345678901234567890]"


# --- on a real server ---


def wire(environ, start_response):
    """The reading alone, as a server runs it."""
    try:
        answer = Response(str(len(read_detection_request(Request(environ), LIMITS).content)))
    except GatewayError as error:
        answer = Response(error.code, error.status)
    return answer(environ, start_response)


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    """Gunicorn with a thread worker, in a process of its own."""
    import os  # noqa: PLC0415 -- only this fixture forks
    import signal  # noqa: PLC0415

    listener = socket.create_server(("127.0.0.1", 0))

    class Server(BaseApplication):
        def load_config(self):
            options = {"bind": f"fd://{listener.fileno()}", "worker_class": "gthread", "threads": 2, "loglevel": "critical"}
            for name, value in {**options, "control_socket_disable": True}.items():
                if name in self.cfg.settings:
                    self.cfg.set(name, value)

        def load(self):
            return wire

    pid = os.fork()
    if pid == 0:
        try:
            Server().run()
        finally:
            os._exit(0)
    address = listener.getsockname()
    yield address
    os.kill(pid, signal.SIGTERM)
    os.waitpid(pid, 0)
    listener.close()


def exchange(address: tuple[str, int], headers: bytes, body: bytes) -> bytes:
    with socket.create_connection(address, timeout=30) as connection:
        sender = threading.Thread(
            target=lambda: connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + headers + b"\r\n" + body)
        )
        sender.start()
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
        sender.join()
    return answer


def chunked(body: bytes, size: int = 1000) -> bytes:
    chunks = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in chunks) + b"0\r\n\r\n"


RAW = b"Content-Type: image/jpeg\r\n"
CHUNKED = RAW + b"Transfer-Encoding: chunked\r\n"
EXCHANGES = {
    "chunked, at the limit": (CHUNKED, chunked(bytes(10_000)), b"200", b"10000"),
    "chunked, one byte over": (CHUNKED, chunked(bytes(10_001)), b"413", b"image_too_large"),
    "chunked, far over": (CHUNKED, chunked(bytes(3_000_000), 60_000), b"413", b"image_too_large"),
    "with a length, at the limit": (RAW + b"Content-Length: 10000\r\n", bytes(10_000), b"200", b"10000"),
    "with a length, over": (RAW + b"Content-Length: 3000000\r\n", bytes(3_000_000), b"413", b"image_too_large"),
    "a chunk of no size": (CHUNKED, b"zz\r\nabc\r\n0\r\n\r\n", b"4", b""),
    "chunked json, far over": (
        b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n",
        chunked(bytes(3_000_000), 60_000),
        b"413",
        b"image_too_large",
    ),
}


@pytest.mark.parametrize(("headers", "body", "status", "said"), EXCHANGES.values(), ids=EXCHANGES)
def test_a_body_is_read_whole_or_refused_and_never_cut(address, headers, body, status, said):
    answer = exchange(address, headers, body)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert answer.endswith(said)
