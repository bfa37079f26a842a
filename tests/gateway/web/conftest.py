import time

import pytest

from tests.gateway.apps import app_of
from tests.gateway.conftest import ADMIN
from tests.gateway.web.browsers import Browser
from tests.gateway.web.spent import spend


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
    folder = tmp_path_factory.mktemp("spent")
    environ = {
        "GATEWAY_DATABASE_URL": f"sqlite:///{folder}/gateway.db",
        "GATEWAY_ADMIN_KEY": ADMIN,
        "GATEWAY_SPOOL": str(folder / "spool"),
        "GATEWAY_SIMULATED": "true",
        "GATEWAY_LOCAL_MODEL_USD_PER_HOUR": "0.10",
        "GATEWAY_PROVIDERS": "google_vision,local",
        "GATEWAY_GOOGLE_VISION_ENDPOINT": "127.0.0.1:9",
        "GATEWAY_GOOGLE_VISION_INSECURE": "true",
    }
    app = app_of(environ)
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
