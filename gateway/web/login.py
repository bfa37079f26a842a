"""`/login` and `/logout`."""

import math
import re
from typing import ClassVar

from flask import Response, g, request

from gateway.api.resource import OPEN
from gateway.errors import RateLimited
from gateway.keys import Role
from gateway.parts import Parts
from gateway.web.attempts import LoginAttempts
from gateway.web.gate import log_in, log_out
from gateway.web.page import Page, see
from gateway.web.sessions import Sessions

_OWN_ADDRESS = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*")
"""A path on this host. Not `//host`, which is another; no backslash, which browsers take for a slash."""

_KEY_CHARS_MAX = 512


class Login(Page):
    """Where a key becomes a session."""

    roles: ClassVar[frozenset[Role]] = OPEN
    title: ClassVar[str] = "Log in"

    def __init__(self, parts: Parts, sessions: Sessions, attempts: LoginAttempts) -> None:
        super().__init__(parts)
        self._sessions = sessions
        self._attempts = attempts

    def get(self) -> Response:
        """Show the form."""
        return self.page("login.html", next=own_address(request.args.get("next", "")), problem=None)

    def post(self) -> Response:
        """Log in, and go where the person wanted to go.

        Raises:
            RateLimited: too many wrong keys came from this address.
        """
        caller, wanted = request.remote_addr or "", own_address(request.form.get("next", ""))
        if (wait_s := self._attempts.wait_s(caller)) > 0:
            raise RateLimited(f"Too many wrong keys came from your address. Try again in {math.ceil(wait_s)} s.", retry_after_s=wait_s)
        session = self._sessions.begin(request.form.get("key", "")[:_KEY_CHARS_MAX].strip())
        if session is None:
            self._attempts.failed(caller)
            return self.page("login.html", 401, next=wanted, problem="This is not a valid key. Keys begin with vg_ and are shown once.")
        if "session" in g:
            self._sessions.end(g.session)
        g.key = session.key
        return log_in(see(wanted), session)


class Logout(Page):
    """Where a session ends."""

    roles: ClassVar[frozenset[Role]] = frozenset({"app", "finance"})
    title: ClassVar[str] = "Log out"

    def __init__(self, parts: Parts, sessions: Sessions) -> None:
        super().__init__(parts)
        self._sessions = sessions

    def post(self) -> Response:
        """End it, here and on every replica."""
        self._sessions.end(g.session)
        return log_out(see("/"))


def own_address(text: str) -> str:
    """An address to go on to, if it is one of ours; the first page otherwise."""
    return text if _OWN_ADDRESS.fullmatch(text) else "/"
