"""`/static/…`: one of the package's own files."""

from typing import ClassVar

from flask import Response, request

from gateway.api.resource import OPEN
from gateway.errors import NotFound
from gateway.keys import Role
from gateway.web.page import Page
from gateway.web.static_files import known_files

_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "public, no-cache"


class StaticFile(Page):
    """One file."""

    roles: ClassVar[frozenset[Role]] = OPEN
    title: ClassVar[str] = "File"

    def get(self, name: str) -> Response:
        """Send it, or 304 to who has it."""
        file = known_files().get(name)
        if file is None:
            raise NotFound(f"There is no file {name!r}.")
        response = Response(file.content, mimetype=file.mimetype)
        response.headers["Cache-Control"] = _FOR_EVER if request.args.get("v") == file.digest else _ASK_AGAIN
        response.set_etag(file.digest)
        response.make_conditional(request)
        return response
