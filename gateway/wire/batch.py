"""Reading a batch: up to 64 pictures as a form with as many files, or as NDJSON, one picture a line. It waits on disk, not in memory."""

import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import IO, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser
from werkzeug.wrappers import Request

from gateway.errors import DeadlineExceeded, ImageTooLarge, InvalidParameter, UnsupportedMediaType
from gateway.wire.body import BodyBroken, BodyTooLarge, drain, spooled_body
from gateway.wire.mistakes import first_mistake
from gateway.wire.options import Dollars, Options, Whole
from gateway.wire.request import DetectionRequest, body_error, json_bytes_max, merged, once, parse_json, request_of
from providers.images import ImageLimits

IMAGES_MAX = 64
NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines")

_BYTES_MAX = 256 << 20
"""Of the whole body; what all pictures of a batch may weigh together."""

_IN_MEMORY_MAX = 1 << 20
_CHUNK_BYTES = 1 << 16
_FIELDS_MAX = 32
_NAME_CHARS_MAX = 128
_HOW = f"Send up to {IMAGES_MAX} pictures as multipart fields `image`, or as application/x-ndjson, one object a line as for one picture."


class WholeOptions(BaseModel):
    """The limits of a batch as a whole. Its other options are each item's."""

    model_config = ConfigDict(extra="ignore", frozen=True, arbitrary_types_allowed=True)

    batch_max_cost_usd: Dollars | None = Field(None, description="A hard ceiling over all pictures, in US dollars.")
    batch_deadline_ms: Whole | None = Field(None, ge=1, le=600_000, description="One deadline over all pictures, in milliseconds.")

    @classmethod
    def take_from(cls, given: dict[str, Any]) -> "WholeOptions":
        """Take them out of what was given.

        Raises:
            InvalidParameter: one of them is wrong.
        """
        mine = {name: given.pop(name) for name in cls.model_fields if name in given}
        try:
            return cls.model_validate(mine)
        except ValidationError as error:
            raise first_mistake(error, cls) from None


class BatchQuery(WholeOptions, Options):
    """Both."""


@dataclass(frozen=True, slots=True)
class Item:
    """One picture of a batch.

    Attributes:
        index: its place, from 0.
        name: the client's own for it, as far as it is known before it is read; None where it gave none.
        read: its bytes, its options and its name; raises `GatewayError`, which is this item's alone.
    """

    index: int
    name: str | None
    read: Callable[[], tuple[DetectionRequest, str | None]]


@dataclass(frozen=True, slots=True)
class Batch:
    """What was sent, and the limits of the whole. `close` forgets the pictures that nobody has read."""

    items: tuple[Item, ...]
    whole: WholeOptions
    close: Callable[[], None]


class _Files:
    """Where the items wait. Read by one thread at a time, and by none once the batch is over."""

    def __init__(self) -> None:
        self._open: list[IO[bytes]] = []
        self._over = False
        self._lock = threading.Lock()

    def add(self, file: IO[bytes]) -> IO[bytes]:
        self._open.append(file)
        return file

    def read(self, file: IO[bytes], at: int, length: int) -> bytes:
        with self._lock:
            if self._over:
                raise DeadlineExceeded("Nobody waits for this batch any more.")
            file.seek(at)
            return file.read(length)

    def close(self) -> None:
        with self._lock:
            self._over = True
            for file in self._open:
                file.close()


def read_batch(request: Request, limits: ImageLimits) -> Batch:
    """All items, none of them looked at yet. Close it.

    Raises:
        GatewayError: the batch as a whole can't be read, holds no picture or too many, or is too large.
    """
    query = once(request.args)
    files = _Files()
    try:
        if request.mimetype == "multipart/form-data":
            return _read_form(request, query, limits.content_bytes_max, files)
        if request.mimetype in NDJSON:
            return _read_lines(files.add(_spooled(request)), query, limits.content_bytes_max, files)
    except BaseException:
        files.close()
        raise
    drain(request)
    raise UnsupportedMediaType(f"The Content-Type is {repr(request.mimetype) if request.mimetype else 'none'}. {_HOW}")


def _read_form(request: Request, query: dict[str, Any], image_bytes_max: int, files: _Files) -> Batch:
    body = files.add(_spooled(request))
    parser = FormDataParser(
        lambda *_, **__: files.add(tempfile.SpooledTemporaryFile(_IN_MEMORY_MAX)),  # noqa: SIM115 -- closed with the batch
        max_form_memory_size=_IN_MEMORY_MAX,
        max_form_parts=IMAGES_MAX + _FIELDS_MAX + 1,
        silent=False,
    )
    try:
        _, form, sent = parser.parse(body, request.mimetype, None, request.mimetype_params)
    except RequestEntityTooLarge:
        raise InvalidParameter("body", f"The form has more than {IMAGES_MAX} pictures, or options of more than 1 MiB.") from None
    except ValueError as error:
        raise InvalidParameter("body", f"The multipart body can't be read ({error}).") from None
    pictures = sent.getlist("image")
    if len(pictures) != sum(len(values) for _, values in sent.lists()):
        raise InvalidParameter("image", "Send every picture as the multipart field `image`.")
    common = merged(query, once(MultiDict(form)))
    whole = WholeOptions.take_from(common)
    options = Options.read(common)

    def read(file: IO[bytes], name: str | None) -> tuple[DetectionRequest, str | None]:
        content = files.read(file, 0, image_bytes_max + 1)
        if len(content) > image_bytes_max:
            raise ImageTooLarge(f"The picture is larger than the {image_bytes_max} bytes that are taken.")
        return DetectionRequest(content, options), name

    named = [(_name(one.filename), one.stream) for one in pictures]
    return _checked([Item(index, name, partial(read, stream, name)) for index, (name, stream) in enumerate(named)], whole, files)


def _read_lines(body: IO[bytes], query: dict[str, Any], image_bytes_max: int, files: _Files) -> Batch:
    whole = WholeOptions.take_from(query)
    Options.read(query)
    bytes_max = json_bytes_max(image_bytes_max)

    def read(at: int, length: int) -> tuple[DetectionRequest, str | None]:
        if length > bytes_max:
            raise ImageTooLarge(f"The line is longer than the {bytes_max} bytes that are taken.")
        document = parse_json(files.read(body, at, length))
        if not isinstance(document, dict):
            raise InvalidParameter("body", "A line must be a JSON object with the key `image`.")
        name, image = document.pop("name", None), document.pop("image", None)
        if name is not None and not isinstance(name, str):
            raise InvalidParameter("name", "name: write a text.")
        return request_of(image, Options.read(query | document)), _name(name)

    places = islice(_lines_of(body), IMAGES_MAX + 1)
    return _checked([Item(index, None, partial(read, at, length)) for index, (at, length) in enumerate(places)], whole, files)


def _lines_of(body: IO[bytes]) -> Iterator[tuple[int, int]]:
    """Where each line begins that is not blank, and how many bytes it has. No line is in memory whole."""
    end = 0
    while part := body.readline(_CHUNK_BYTES):
        start, blank = end, not part.strip()
        end += len(part)
        while not part.endswith(b"\n") and (part := body.readline(_CHUNK_BYTES)):
            blank = blank and not part.strip()
            end += len(part)
        if not blank:
            yield start, end - start


def _checked(items: list[Item], whole: WholeOptions, files: _Files) -> Batch:
    if not 1 <= len(items) <= IMAGES_MAX:
        raise InvalidParameter("image", f"A batch has 1 to {IMAGES_MAX} pictures; this one has {'none' if not items else 'more'}. {_HOW}")
    return Batch(tuple(items), whole, files.close)


def _spooled(request: Request) -> IO[bytes]:
    try:
        return spooled_body(request, _BYTES_MAX)
    except (BodyTooLarge, BodyBroken) as error:
        raise body_error(error) from error


def _name(given: str | None) -> str | None:
    return given[:_NAME_CHARS_MAX] if given else None
