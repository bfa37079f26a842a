"""`/docs/`: the API, to read and to try. `/docs/errors`: what each error means and what to do; every problem document leads there."""

from inspect import getdoc
from typing import ClassVar

from flask import Response

from gateway.api.resource import OPEN
from gateway.errors import GatewayError
from gateway.keys import Role
from gateway.web.page import Page


class DocsPage(Page):
    """Swagger UI before `/openapi.json`."""

    roles: ClassVar[frozenset[Role]] = OPEN
    title: ClassVar[str] = "API"
    word: ClassVar[str] = "API"

    def get(self) -> Response:
        """Show it."""
        return self.page("docs.html")


class ErrorsPage(Page):
    """Every code, at the anchor of its name."""

    roles: ClassVar[frozenset[Role]] = OPEN
    title: ClassVar[str] = "Errors"

    def get(self) -> Response:
        """Show them, from the classes that are raised."""
        known = sorted(GatewayError.__subclasses__(), key=lambda one: one.status)  # of one status in the order in which they are written
        return self.page("errors.html", errors=[(one, getdoc(one)) for one in known])
