"""The way in to a page: the session's cookie, the role, and the token of every form."""

import hmac
import secrets

from flask import Response, g, request

from gateway.api.here import here
from gateway.api.resource import OPEN
from gateway.errors import Forbidden, Unauthenticated
from gateway.web.page import Page
from gateway.web.sessions import LASTS, Session, Sessions, form_token

SESSION_COOKIE = "vg_session"
FORM_COOKIE = "vg_form"
"""Holds the secret behind the login form's token, before there is a session."""

_READS = frozenset({"GET", "HEAD", "OPTIONS"})


def enter(page: type[Page], sessions: Sessions) -> None:
    """Find out who asks for a page, before the page's own code runs; `g.session` and `g.key` are who.

    Raises:
        Unauthenticated, Forbidden: nobody is logged in, or somebody whose role may not, or a form without its token.
    """
    request.max_content_length = page.body_bytes_max
    session = recognise(sessions)
    if page.roles != OPEN:
        if session is None:
            raise Unauthenticated("Log in with an API key to see this page.")
        if session.key.role != "admin" and session.key.role not in page.roles:
            raise Forbidden(
                f"This page is for keys with the role {' or '.join(sorted(page.roles | {'admin'}))}. "
                f"You are logged in as {session.key.name}, whose role is {session.key.role}."
            )
    if request.method not in _READS:
        _check_form_token()


def recognise(sessions: Sessions) -> Session | None:
    """Who is logged in, if anybody; `g.session` and `g.key` are who."""
    session = sessions.find(request.cookies.get(SESSION_COOKIE, ""))
    if session is not None:
        g.session, g.key = session, session.key
    return session


def csrf_token() -> str:
    """The token for a form on this page; makes the cookie behind it where nobody is logged in."""
    session: Session | None = g.get("session")
    if session is not None:
        return form_token(session.token)
    if "form_secret" not in g:
        g.form_secret = request.cookies.get(FORM_COOKIE) or secrets.token_urlsafe(32)
    return form_token(g.form_secret)


def keep_form_secret(response: Response) -> Response:
    """Send the cookie that `csrf_token` has made."""
    if "form_secret" in here(g) and request.cookies.get(FORM_COOKIE) != g.form_secret:
        _set_cookie(response, FORM_COOKIE, g.form_secret)
    return response


def log_in(response: Response, session: Session) -> Response:
    """Send the session's cookie."""
    _set_cookie(response, SESSION_COOKIE, session.token)
    response.delete_cookie(FORM_COOKIE)
    return response


def log_out(response: Response) -> Response:
    """Take the session's cookie back."""
    response.delete_cookie(SESSION_COOKIE)
    return response


def _set_cookie(response: Response, name: str, value: str) -> None:
    """Lax, so that a link in a colleague's message opens its page; what changes anything needs the form's token besides."""
    response.set_cookie(name, value, max_age=LASTS, path="/", secure=request.is_secure, httponly=True, samesite="Lax")


def _check_form_token() -> None:
    session: Session | None = g.get("session")
    secret = session.token if session else request.cookies.get(FORM_COOKIE, "")
    given = request.form.get("csrf", "")
    if not secret or not hmac.compare_digest(form_token(secret).encode(), given.encode()):
        raise Forbidden("This form is out of date, or did not come from our own page. Go back, reload the page and send it again.")
