"""What commands share: settings and database, with errors a person can act on."""

import os
import socket

import click
import sqlalchemy as sa

from cost.database import BadDatabase
from cost.price_sheets import PriceBook
from gateway.database import open_as_it_is, prepare_database
from gateway.settings import BadSettings, Settings
from providers.contract import Provider


def read_settings() -> Settings:
    """The settings of the environment; every problem at once on stderr otherwise."""
    try:
        return Settings.from_env(os.environ)
    except BadSettings as error:
        raise click.ClickException(f"the settings are wrong:\n{error}") from error


def providers_and_prices(settings: Settings) -> tuple[list[Provider], PriceBook]:
    """The enabled providers and the price sheets; every problem at once on stderr otherwise."""
    from gateway.app import build_providers, read_prices  # noqa: PLC0415 -- all of the gateway, which few commands need

    try:
        providers = build_providers(settings, os.environ)
        return providers, read_prices(settings, providers)
    except BadSettings as error:
        raise click.ClickException(f"the settings are wrong:\n{error}") from error


def open_database(settings: Settings, *, as_it_is: bool = False) -> sa.Engine:
    """The database with the newest schema, or, to be read as a whole, with the one that it has."""
    try:
        return open_as_it_is(settings.database_url) if as_it_is else prepare_database(settings.database_url)
    except (sa.exc.SQLAlchemyError, OSError, BadDatabase) as error:
        where = sa.make_url(settings.database_url).render_as_string(hide_password=True)
        reason = getattr(error, "orig", None) or error
        raise click.ClickException(f"the database {where} can't be used: {reason}\nGATEWAY_DATABASE_URL names it.") from error


def check_address_is_free(settings: Settings) -> None:
    """Say at once that somebody listens there already, rather than after gunicorn's retries."""
    family = socket.AF_INET6 if ":" in settings.bind else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.bind, settings.port))
        except OSError as error:
            raise click.ClickException(f"can't listen on {settings.bind}:{settings.port}: {error.strerror}. Choose with PORT=…") from error


def print_table(lines: list[list[str]], texts: int) -> None:
    """The first `texts` columns to the left, numbers to the right. What could move a terminal's cursor is shown as its escape."""
    lines = [[cell if cell.isprintable() else ascii(cell)[1:-1] for cell in line] for line in lines]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        cells = [c.ljust(w) if n < texts else c.rjust(w) for n, (c, w) in enumerate(zip(line, widths, strict=True))]
        click.echo("  ".join(cells).rstrip())
