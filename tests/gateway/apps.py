from collections.abc import Mapping

from flask import Flask

from gateway.app import create_app
from gateway.database import prepare_database
from gateway.settings import Settings


def app_of(environ: Mapping[str, str]) -> Flask:
    """The whole gateway as `vision-gateway serve` makes it: the schema first, then the application."""
    settings = Settings.from_env(environ)
    prepare_database(settings.database_url).dispose()
    return create_app(settings, environ)
