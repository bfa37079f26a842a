"""`/v1/pictures`: those that were kept to be looked at."""

from typing import ClassVar

from flask import Response

from gateway import errors
from gateway.api.resource import Description, GatewayResource, describes
from gateway.errors import NotFound
from gateway.keys import Role


class KeptPicture(GatewayResource):
    """A picture that was kept."""

    roles: ClassVar[frozenset[Role]] = frozenset({"app", "finance"})

    @describes(Description("Forget a kept picture", status=204, errors=(errors.NotFound,)))
    def delete(self, digest: str) -> Response:
        """Delete it."""
        if not self.parts.pictures.delete(digest):
            raise NotFound(f"No picture {digest} is kept.")
        return Response(status=204)
