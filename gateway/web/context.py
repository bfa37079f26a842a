"""What every template may use."""

from collections.abc import Mapping
from dataclasses import dataclass

from flask import Flask, g, request
from jinja2 import StrictUndefined

from gateway.api.resource import OPEN
from gateway.keys import Key
from gateway.web import formats
from gateway.web.drawing import TEMPLATES
from gateway.web.gate import csrf_token
from gateway.web.page import Page
from gateway.web.static_files import static_address


@dataclass(frozen=True, slots=True)
class NavigationEntry:
    """One word of the navigation."""

    address: str
    word: str
    here: bool


def equip_templates(app: Flask, pages: Mapping[str, type[Page]], *, simulated: bool) -> None:
    """Templates know who is logged in and where they may go; what they misspell is an error, not an empty string.

    Every template has: `who` (a key, or None), `navigation`, `simulated`, `csrf()` for forms, `static(name)`, and the filters of
    `gateway.web.formats`.
    """
    templates = app.jinja_env.overlay(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    templates.filters = {**templates.filters, **formats.FILTERS}
    templates.globals = {**templates.globals, "csrf": csrf_token, "static": static_address, "simulated": simulated}
    app.extensions[TEMPLATES] = templates

    @app.context_processor
    def who_and_where() -> dict[str, object]:
        who: Key | None = g.get("key")
        return {"who": who, "navigation": _navigation(pages, who), "title": "vision-gateway"}


def _navigation(pages: Mapping[str, type[Page]], who: Key | None) -> list[NavigationEntry]:
    return [
        NavigationEntry(
            address, page.word, request.path == address or (address != "/" and request.path.startswith(f"{address.rstrip('/')}/"))
        )
        for address, page in pages.items()
        if page.word and (page.roles == OPEN or (who is not None and (who.role == "admin" or who.role in page.roles)))
    ]
