import time

import pytest

from tests.gateway.apps import NOBODY, app_of
from tests.gateway.web.browsers import Browser
from tests.gateway.web.spent import spend
from tests.processes import ADMIN


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


@pytest.fixture(scope="module")
def spent(tmp_path_factory):
    """A gateway with some traffic behind it."""
    environ = {"GATEWAY_SIMULATED": "true", "GATEWAY_LOCAL_MODEL_USD_PER_HOUR": "0.10", "GATEWAY_PROVIDERS": "google_vision,local"}
    app = app_of(tmp_path_factory.mktemp("spent"), **environ, **NOBODY)
    spend(app.extensions["gateway"].ledger)
    yield app
    app.extensions["gateway"].close()


@pytest.fixture
def finance(spent):
    """Somebody of finance, before the pages of that gateway."""
    browser = Browser(spent)
    browser.log_in(ADMIN)
    while "$0.00675" not in browser.get("/costs/rows").text:  # answers that cost nothing are written behind the requests
        time.sleep(0.05)
    return browser
