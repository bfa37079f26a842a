"""`GET /metrics`: every number, for Prometheus."""

from typing import ClassVar

from flask import Response, request

from gateway.api.resource import OPEN, Description, GatewayResource, describes
from gateway.keys import Role
from gateway.monitoring.exposition import exposition


class Metrics(GatewayResource):
    """The numbers of all processes of this gateway."""

    roles: ClassVar[frozenset[Role]] = OPEN

    @describes(Description("Every number, as Prometheus reads them"))
    def get(self) -> Response:
        """Tell them, those of the ledger as of a moment ago."""
        self.parts.money_numbers.refresh()
        body, content_type = exposition(request.headers.get("Accept", ""))
        return Response(body, content_type=content_type)
