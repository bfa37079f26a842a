"""Reading a request's body: whole, within a limit, and never one that was cut short."""

import tempfile
from collections.abc import Iterator
from typing import IO

from gunicorn.http.errors import ParseException
from werkzeug.wrappers import Request

_CHUNK_BYTES = 1 << 20
"""Most bodies are one piece, which nobody has to join."""

_IN_MEMORY_MAX = 1 << 20
_DRAINED_BYTES_MAX = 64 << 20
"""A refused body is read to its end up to here, so that the client reads our answer instead of a broken connection."""


class BodyTooLarge(ValueError):
    """More than is taken."""


class BodyBroken(ValueError):
    """It ended early, or its chunks are not what HTTP says."""


def whole_body(request: Request, bytes_max: int) -> bytes:
    """The body. A chunked one has no length to believe: it is read until it ends or is too long, and never cut.

    Raises:
        BodyTooLarge, BodyBroken: with a sentence for the client.
    """
    return b"".join(body_pieces(request, bytes_max))


def spooled_body(request: Request, bytes_max: int) -> IO[bytes]:
    """The same as a file without a name, at its beginning; a small one stays in memory.

    Raises:
        BodyTooLarge, BodyBroken: with a sentence for the client.
    """
    file = tempfile.SpooledTemporaryFile(_IN_MEMORY_MAX)  # noqa: SIM115 -- closed by who reads it
    try:
        for part in body_pieces(request, bytes_max):
            file.write(part)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


def body_pieces(request: Request, bytes_max: int) -> Iterator[bytes]:
    """The same piece by piece: whole only where it comes to its end.

    Raises:
        BodyTooLarge, BodyBroken: see `whole_body`.
    """
    too_large = BodyTooLarge(f"The body is larger than the {bytes_max} bytes that are taken.")
    announced = request.content_length
    if (announced or 0) > bytes_max:
        drain(request)
        raise too_large
    length = 0
    while part := _read(request):
        length += len(part)
        if length > bytes_max:
            drain(request)
            raise too_large
        yield part
    if announced is not None and length < announced:
        raise BodyBroken(f"The body ended after {length} of the {announced} bytes that Content-Length announced. Send it again.")


def drain(request: Request) -> None:
    """Read what nobody wants, up to a limit."""
    drained = 0
    try:
        while drained < _DRAINED_BYTES_MAX and (part := _read(request)):
            drained += len(part)
    except BodyBroken:
        return


def _read(request: Request) -> bytes:
    try:
        return request.stream.read(_CHUNK_BYTES)
    except (OSError, ParseException) as error:  # gunicorn's: chunks without a size or an end, a client that is gone
        raise BodyBroken(
            "The body broke off: it ended early, or its chunks are not what RFC 9112, section 7.1, says. Send it again."
        ) from error
