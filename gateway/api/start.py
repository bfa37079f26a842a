"""`/`: where a person who types the address lands."""

from typing import ClassVar

from flask import redirect
from werkzeug.wrappers import Response

from gateway.api.resource import OPEN, Description, GatewayResource, describes
from gateway.keys import Role


class Start(GatewayResource):
    """The first page."""

    roles: ClassVar[frozenset[Role]] = OPEN

    @describes(Description("The browsable documentation", status=302))
    def get(self) -> Response:
        """Show the documentation."""
        return redirect("/docs/")
