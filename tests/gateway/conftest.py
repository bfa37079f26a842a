import pytest

from gateway.database import prepare_database
from tests.gateway.apps import admin_of, app_of
from tests.gateway.toys import Toybox, ask
from tests.waiting import until


@pytest.fixture(scope="session")
def app(tmp_path_factory):
    """The whole gateway, with the in-house model in this process."""
    app = app_of(tmp_path_factory.mktemp("gateway"))
    # Python 3.11 fails where two threads parse at the same time: pytest parses what a test imports, torch what it loads.
    until(lambda: app.test_client().get("/readyz").status_code == 200)
    yield app
    app.extensions["gateway"].close()


@pytest.fixture
def client(app):
    return admin_of(app)


@pytest.fixture
def stranger(app):
    """A client without a key."""
    return app.test_client()


@pytest.fixture
def database(tmp_path):
    """An empty one, of the newest schema."""
    engine = prepare_database(f"sqlite:///{tmp_path}/gateway.db")
    yield engine
    engine.dispose()


@pytest.fixture
def toybox(tmp_path):
    """Makes dispatchers of toys; closes them at the end."""
    toybox = Toybox(tmp_path)
    yield toybox
    toybox.close()


@pytest.fixture
def detect(toybox):
    def detect(*toys, deadline_ms=20_000, max_cost=None, **options):
        return ask(toybox.dispatcher(*toys), deadline_ms=deadline_ms, max_cost=max_cost, **options)

    return detect
