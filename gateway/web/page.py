"""What every page is: who may read it, and how it is drawn."""

from typing import ClassVar

from flask import Response, redirect
from flask.views import MethodView

from gateway.keys import Role
from gateway.parts import Parts
from gateway.web.drawing import draw

FORM_BYTES_MAX = 1 << 16


class Page(MethodView):
    """A page for people, made with the parts it reads.

    A person is known by a session cookie, never by an `Authorization` header; the API knows keys alone. Every request that is not a GET
    must carry the form's token: `gateway.web.gate` sees to it before the page's own code runs.

    Attributes:
        roles: whose keys may read it; `admin` always may. `OPEN` asks for no login.
        title: of the browser's window.
        word: in the navigation, or None where it is not listed there.
        body_bytes_max: of a form that is sent to it.
    """

    roles: ClassVar[frozenset[Role]]
    title: ClassVar[str]
    word: ClassVar[str | None] = None
    body_bytes_max: ClassVar[int] = FORM_BYTES_MAX

    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    def page(self, template: str, status: int = 200, **values: object) -> Response:
        """The page as this template draws it."""
        return Response(draw(template, title=self.title, **values), status, mimetype="text/html")


def see(address: str) -> Response:
    """303: the browser follows with a GET, so that a reload sends nothing twice."""
    response = redirect(address, 303)
    assert isinstance(response, Response)
    return response
