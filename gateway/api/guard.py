"""No route but the open ones answers without a key, and none without a declared role."""

from flask import Flask, current_app, g, request

from gateway.api.resource import OPEN
from gateway.errors import Forbidden, Unauthenticated
from gateway.keys import Key, Keys, Role

_OPEN_BLUEPRINTS = frozenset({"swagger_ui"})


def guard_every_route(app: Flask, keys: Keys) -> None:
    """Check the key of each request before its resource sees it; `g.key` is who calls."""

    @app.before_request
    def check_key() -> None:
        roles = _roles_of_route()
        if roles is None or roles == OPEN:
            return
        g.key = _caller(keys)
        if g.key.role != "admin" and g.key.role not in roles:
            raise Forbidden(f"This needs a key with the role {' or '.join(sorted(roles | {'admin'}))}; yours is {g.key.role}.")


def _roles_of_route() -> frozenset[Role] | None:
    """The roles of the route that was matched; None where there is no route, and so nothing to guard."""
    if request.endpoint is None or request.blueprint in _OPEN_BLUEPRINTS:
        return None
    roles: frozenset[Role] = current_app.view_functions[request.endpoint].view_class.roles  # type: ignore[union-attr]
    return roles


def _caller(keys: Keys) -> Key:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    key = keys.find(token.strip()) if scheme.lower() == "bearer" else None
    if key is None:
        raise Unauthenticated("Send a valid key: Authorization: Bearer vg_…")
    return key
