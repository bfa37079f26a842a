from pathlib import Path

from flask import Flask
from flask.testing import FlaskClient

from gateway.app import create_app
from gateway.database import prepare_database
from gateway.settings import Settings
from tests.processes import ADMIN

NOBODY = {"GATEWAY_GOOGLE_VISION_ENDPOINT": "127.0.0.1:9", "GATEWAY_GOOGLE_VISION_INSECURE": "true"}
"""A cloud that does not answer."""


def app_of(folder: Path, **environ: str) -> Flask:
    """The whole gateway as `vision-gateway serve` makes it, its files in this folder: the schema first, then the application."""
    files = {"GATEWAY_DATABASE_URL": f"sqlite:///{folder}/gateway.db", "GATEWAY_SPOOL": str(folder / "spool")}
    environ = files | {"GATEWAY_ADMIN_KEY": ADMIN, "GATEWAY_CACHE_TTL_S": "0"} | environ  # each request asks, but in tests of the cache
    settings = Settings.from_env(environ)
    prepare_database(settings.database_url).dispose()
    return create_app(settings, environ)


def admin_of(app: Flask) -> FlaskClient:
    """A client that sends the admin's key."""
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {ADMIN}"
    return client
