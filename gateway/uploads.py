"""Files that are sent to the gateway: read piece by piece into a temporary file, up to a limit."""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser
from werkzeug.wrappers import Request

from gateway.errors import FileTooLarge, InvalidParameter
from gateway.wire.body import BodyBroken, BodyTooLarge, body_pieces

UPLOAD_BYTES_MAX = 256 << 20
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Upload:
    """A file, at its beginning; `sha256` in hexadecimal digits."""

    file: BinaryIO
    name: str
    sha256: str


@contextmanager
def uploaded(request: Request, name: str = "") -> Iterator[Upload]:
    """The file of a request: its body, or the form field `file`. It is gone at the end of the block.

    Raises:
        FileTooLarge: more than `UPLOAD_BYTES_MAX`.
        InvalidParameter: there is none, it was cut short, or a form has several.
    """
    with tempfile.TemporaryFile() as body:
        try:
            size = sum(body.write(piece) for piece in body_pieces(request, UPLOAD_BYTES_MAX))
        except BodyTooLarge as error:
            raise FileTooLarge(f"{error} Compress the file with gzip, or send it month by month.") from error
        except BodyBroken as error:
            raise InvalidParameter("file", str(error)) from error
        body.seek(0)
        file: BinaryIO = body
        if request.mimetype == "multipart/form-data":
            file, in_form = _file_of_form(request, file, size)
            name = name or in_form
        with file:
            digest, length = hashlib.sha256(), 0
            while piece := file.read(_PIECE_BYTES):
                digest.update(piece)
                length += len(piece)
            if not length:
                raise InvalidParameter("file", "file: the file is empty.")
            file.seek(0)
            yield Upload(file, own_name(name), digest.hexdigest())


def own_name(sent: str) -> str:
    """A file's own name, without folders and without what no database keeps."""
    return PurePosixPath(sent.replace("\\", "/").replace("\0", "")).name[:255] or "invoice"


def _file_of_form(request: Request, body: BinaryIO, size: int) -> tuple[BinaryIO, str]:
    parser = FormDataParser(_temporary, max_form_memory_size=_PIECE_BYTES, max_form_parts=8, silent=False)
    try:
        _, _, files = parser.parse(body, request.mimetype, size, request.mimetype_params)
    except (ValueError, RequestEntityTooLarge) as error:
        raise InvalidParameter("file", f"file: the multipart body can't be read ({error}).") from error
    found = files.getlist("file")
    if len(found) != 1 or len(files) != 1:
        for part in (part for parts in files.listvalues() for part in parts):
            part.close()
        raise InvalidParameter("file", "file: send one file, as the form field `file` or as the body.")
    return found[0].stream, found[0].filename or ""  # type: ignore[return-value]


def _temporary(*_args: object, **_facts: object) -> BinaryIO:
    return tempfile.TemporaryFile()
