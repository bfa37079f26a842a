from flask import Flask

from gateway.app import create_app
from gateway.database import prepare_database
from gateway.settings import Settings


def app_of(environ: dict[str, str]) -> Flask:
    """The whole gateway as `vision-gateway serve` makes it: the schema first, then the application."""
    settings = Settings.from_env({"GATEWAY_CACHE_TTL_S": "0"} | environ)  # each request asks, but in tests of the cache
    prepare_database(settings.database_url).dispose()
    return create_app(settings, environ)
