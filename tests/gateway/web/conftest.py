import pytest

from tests.gateway.conftest import ADMIN
from tests.gateway.web.browsers import Browser


@pytest.fixture
def browser(app):
    """Somebody who is not logged in."""
    return Browser(app)


@pytest.fixture
def logged_in(app):
    """Makes browsers in which somebody of a role is logged in."""
    keys = app.extensions["gateway"].keys

    def log_in(role):
        browser = Browser(app)
        if role == "admin":
            browser.log_in(ADMIN)
            return browser
        keys.revoke(f"{role}-reader")
        browser.log_in(keys.create(f"{role}-reader", role)[1])
        return browser

    return log_in
