"""Answers that are written while they are read from the database, so that a million rows cost no more memory than a few."""

import threading
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from itertools import chain, islice
from typing import TypeVar

from flask import Response
from sqlalchemy.exc import OperationalError

from gateway.errors import LedgerUnavailable, Overloaded

Piece = TypeVar("Piece", str, bytes)

_CHUNK_CHARS = 1 << 16
_PATIENCE_S = 5.0
_PLACES = threading.BoundedSemaphore(8)
"""So many answers are read at a time by one process: each holds a connection for as long as its reader is slow."""


def streamed(pieces: Generator[Piece, None, None], mimetype: str, filename: str | None = None) -> Response:
    """An answer from its pieces. What is small has been read to its end before it is sent, and what fails before then is a problem.

    A failure later breaks the connection off, so that nobody takes half a file for a whole one.

    Raises:
        LedgerUnavailable: the database can't be read.
        Overloaded: too many answers are being read.
    """
    headers = {} if filename is None else {"Content-Disposition": f'attachment; filename="{filename}"'}
    with ExitStack() as stack:
        if not _PLACES.acquire(timeout=_PATIENCE_S):
            raise Overloaded("Too many reports are being read. Ask again in a few seconds.", retry_after_s=_PATIENCE_S)
        stack.callback(_PLACES.release)
        stack.callback(pieces.close)
        chunks = _in_chunks(pieces)
        try:
            begun = list(islice(chunks, 2))
        except OperationalError as error:
            raise LedgerUnavailable("The ledger can't be read right now.", retry_after_s=_PATIENCE_S) from error
        if len(begun) < 2:
            return Response(begun[0] if begun else "", 200, headers, mimetype=mimetype)
        response = Response(chain(begun, chunks), 200, headers, mimetype=mimetype)
        response.call_on_close(stack.pop_all().close)
        return response


def _in_chunks(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Few large writes instead of many small ones."""
    waiting: list[Piece] = []
    chars = 0
    for piece in pieces:
        waiting.append(piece)
        chars += len(piece)
        if chars >= _CHUNK_CHARS:
            yield piece[:0].join(waiting)
            waiting, chars = [], 0
    if waiting:
        yield waiting[0][:0].join(waiting)
