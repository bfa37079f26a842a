"""`vision-gateway canary`."""

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
from sqlalchemy.exc import SQLAlchemyError
from tqdm import tqdm

from cost.ledger import Ledger, LedgerUnavailable
from gateway.breaker import Breaker
from gateway.cli.common import open_database, providers_and_prices, read_settings
from gateway.dispatch import Dispatcher
from gateway.latency import LatencyTracker
from gateway.line import Line
from gateway.metering import Meter
from gateway.monitoring.canary import Canary, NoCanary, Run
from gateway.reads import BoundedReads


@click.group()
def command() -> None:
    """The canary set: the same pictures shown again and again tell when a vendor has changed its model."""


@command.command()
@click.option("--folder", type=click.Path(path_type=Path), help="The pictures; GATEWAY_CANARY by default.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def run(folder: Path | None, as_json: bool) -> None:
    """Show every picture to every enabled provider now. Say whether it answers as it did; paid from the budget `canary`."""
    with _canary(folder) as (canary, providers):
        try:
            with tqdm(total=len(canary.pictures()) * providers, unit=" pictures", file=sys.stderr, disable=None) as bar:
                runs = canary.run(lambda: bar.update() and None)
        except NoCanary as error:
            raise click.ClickException(f"{error}. Name a folder with --folder or GATEWAY_CANARY.") from error
        except (SQLAlchemyError, LedgerUnavailable) as error:
            raise click.ClickException(f"the database is away: {error}") from error
    _tell(runs, as_json)


@command.command()
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def status(as_json: bool) -> None:
    """What the latest runs said."""
    with _canary(None) as (canary, _):
        _tell(canary.latest(), as_json)


@contextmanager
def _canary(folder: Path | None) -> Iterator[tuple[Canary, int]]:
    settings = read_settings()
    engine = open_database(settings)
    providers, prices = providers_and_prices(settings)
    with ExitStack() as open_:
        open_.callback(engine.dispose)
        ledger, reads = Ledger(engine, prices, spool=settings.spool), BoundedReads()
        open_.callback(reads.close)
        open_.callback(ledger.close)
        lines = [Line(provider, 2, LatencyTracker(), Breaker(), Meter(ledger, prices, reads)) for provider in providers]
        dispatcher = Dispatcher(lines, default_deadline_ms=max(settings.default_deadline_ms, 60_000))
        open_.callback(dispatcher.close)
        yield Canary(engine, ledger, dispatcher, folder or settings.canary or Path("canary"), settings.canary_usd_per_month), len(lines)


def _tell(runs: list[Run], as_json: bool) -> None:
    if as_json:
        rows = [{"at": one.at.isoformat(), **{name: getattr(one, name) for name in Run.__slots__ if name != "at"}} for one in runs]
        click.echo(json.dumps({"runs": rows}))
        return
    if not runs:
        click.echo("There was no run yet: `vision-gateway canary run` makes one.")
    for one in runs:
        click.echo(f"{one.at:%Y-%m-%d %H:%M}  {one.summary}")
