"""`/prices`: what each provider charges, where and when that was read."""

from typing import ClassVar

from flask import Response

from gateway.keys import Role
from gateway.web.page import Page
from gateway.web.price_table import price_rows


class PricesPage(Page):
    """The price sheets, for whoever may call."""

    roles: ClassVar[frozenset[Role]] = frozenset({"app", "finance"})
    title: ClassVar[str] = "Prices"
    word: ClassVar[str] = "Prices"

    def get(self) -> Response:
        """Show them."""
        return self.page("prices.html", prices=price_rows(self.parts))
