import pytest

from gateway.app import create_app
from gateway.settings import Settings

ADMIN = "operators-own-key"


@pytest.fixture(scope="session")
def app(tmp_path_factory):
    """The whole gateway, with the in-house model in this process."""
    database = tmp_path_factory.mktemp("gateway") / "gateway.db"
    environ = {"GATEWAY_DATABASE_URL": f"sqlite:///{database}", "GATEWAY_ADMIN_KEY": ADMIN}
    app = create_app(Settings.from_env(environ), environ)
    yield app
    app.extensions["gateway"].close()


@pytest.fixture
def client(app):
    """A client that sends the admin key."""
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {ADMIN}"
    return client


@pytest.fixture
def stranger(app):
    """A client without a key."""
    return app.test_client()
