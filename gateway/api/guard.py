"""No route but the open ones answers without a key, and none without a declared role. The API knows keys alone, pages sessions alone."""

from flask import Flask, Request, g, request

from gateway.api.here import here
from gateway.api.resource import OPEN, GatewayResource
from gateway.errors import Forbidden, Unauthenticated
from gateway.keys import Key, Keys
from gateway.limits import RateLimits
from gateway.web.gate import enter, recognise
from gateway.web.page import Page
from gateway.web.sessions import Sessions

_MADE_BY = "An admin makes keys: on the page /keys, or with `vision-gateway keys create`."


def guard_every_route(app: Flask, keys: Keys, sessions: Sessions, limits: RateLimits) -> None:
    """Check who calls before the resource or page sees the request; `g.key` is who."""

    @app.before_request
    def check_key() -> None:
        asked = here(request)
        if asked.endpoint is None:
            recognise(sessions)  # for the page that says that there is nothing here
            return
        view = _view_of_route(app, asked.endpoint)
        if issubclass(view, Page):
            enter(view, sessions)
            return
        roles = view.roles
        if roles == OPEN:
            return
        key = here(g).key = _caller(keys, asked)
        if key.role != "admin" and key.role not in roles:
            raise Forbidden(f"This needs a key with the role {' or '.join(sorted(roles | {'admin'}))}; yours is {key.role}.")
        limits.request(key)


def _view_of_route(app: Flask, endpoint: str) -> type[GatewayResource] | type[Page]:
    """What was matched. One that is neither a resource nor a page is a mistake."""
    view: type[GatewayResource] | type[Page] = app.view_functions[endpoint].view_class  # type: ignore[union-attr]
    return view


def _caller(keys: Keys, asked: Request) -> Key:
    scheme, _, token = asked.environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    key = keys.find(token.strip()) if scheme.lower() == "bearer" else None
    if key is not None:
        return key
    if scheme.lower() == "bearer":
        raise Unauthenticated(f"This key is not known here: it is mistyped, was revoked, or is another gateway's. {_MADE_BY}")
    raise Unauthenticated(f"No key came with this request. Send one as Authorization: Bearer vg_… {_MADE_BY}")
