"""`vision-gateway serve`."""

import os
from dataclasses import replace

import click

from gateway.cache.valkey import embedded_valkey
from gateway.cli.common import check_address_is_free, open_database, providers_and_prices, read_settings
from gateway.keys import Keys, ensure_admin_key
from gateway.monitoring.folder import NumbersFolder
from gateway.server import GatewayServer
from local_model.lifetime import die_with_parent
from local_model.memory import use_few_heaps


@click.command()
def command() -> None:
    """Serve the gateway on $PORT until stopped."""
    use_few_heaps()
    if os.environ.get("DIE_WITH_PARENT") == "1":
        die_with_parent()
    settings = read_settings()
    check_address_is_free(settings)
    providers, _ = providers_and_prices(settings)  # what is wrong is told here, once, not by each worker
    for provider in providers:
        provider.close()
    database = open_database(settings)
    if token := ensure_admin_key(Keys(database), settings.admin_key):
        click.echo(f"The admin key, shown this once: {token}", err=True)
    database.dispose()  # connections must not cross a fork
    try:
        numbers = NumbersFolder(settings.metrics)
    except OSError as error:
        raise click.ClickException(f"the folder {settings.metrics} can't be used: {error.strerror}\nGATEWAY_METRICS names it.") from error
    with embedded_valkey(settings) as valkey:
        if valkey is not None:
            settings = replace(settings, redis_url=valkey.url)
        click.echo(f"vision-gateway listens on http://{settings.bind}:{settings.port}", err=True)
        GatewayServer(settings, numbers, valkey).run()
