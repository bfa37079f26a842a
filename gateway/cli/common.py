"""What commands share: settings and database, with errors a person can act on."""

import os

import click
import sqlalchemy as sa

from gateway.settings import BadSettings, Settings


def read_settings() -> Settings:
    """The settings of the environment; every problem at once on stderr otherwise."""
    try:
        return Settings.from_env(os.environ)
    except BadSettings as error:
        raise click.ClickException(f"the settings are wrong:\n{error}") from error


def open_database(settings: Settings) -> sa.Engine:
    """The database with the newest schema."""
    from gateway.database import prepare_database

    try:
        return prepare_database(settings.database_url)
    except (sa.exc.SQLAlchemyError, OSError) as error:
        where = sa.make_url(settings.database_url).render_as_string(hide_password=True)
        reason = getattr(error, "orig", None) or error
        raise click.ClickException(f"the database {where} can't be used: {reason}\nGATEWAY_DATABASE_URL names it.") from error
