"""`vision-gateway serve`."""

import os

import click

from gateway.cli.common import open_database, read_settings


@click.command()
def command() -> None:
    """Serve the gateway on $PORT until stopped."""
    from gateway.app import build_providers
    from gateway.keys import Keys, ensure_admin_key
    from gateway.server import GatewayServer

    settings = read_settings()
    for provider in build_providers(settings, os.environ):  # a wrong variable is told here, once, not by each worker
        provider.close()
    database = open_database(settings)
    if token := ensure_admin_key(Keys(database), settings.admin_key):
        click.echo(f"The admin key, shown this once: {token}", err=True)
    database.dispose()  # connections must not cross a fork
    click.echo(f"vision-gateway listens on http://{settings.bind}:{settings.port}", err=True)
    GatewayServer(settings).run()
