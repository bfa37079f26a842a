"""A browser without a screen: what the gateway's own test client needs to be one."""

import re

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


class Browser:
    """Somebody before a screen, with cookies."""

    def __init__(self, app) -> None:
        self.client = app.test_client()

    def get(self, address, **more):
        return self.client.get(address, headers=BROWSER, **more)

    def csrf(self, address="/login") -> str:
        return re.search(r'name="csrf" value="(\w+)"', self.get(address).text).group(1)

    def post(self, address, form=None, *, csrf=None, **more):
        """Send a form as our own page would."""
        return self.client.post(address, data={"csrf": csrf or self.csrf(), **(form or {})}, headers=BROWSER, **more)

    def log_in(self, token, wanted="/"):
        return self.post("/login", {"key": token, "next": wanted})


def cookie_of(response, name):
    """A cookie's value and its attributes, as sent."""
    for header in response.headers.getlist("Set-Cookie"):
        value, *attributes = header.split("; ")
        if value.startswith(f"{name}="):
            return value.partition("=")[2], {one.partition("=")[0]: one.partition("=")[2] for one in attributes}
    return None
