"""`vision-gateway ledger`."""

import sys

import click
from tqdm import tqdm

from cost.ledger import Ledger
from cost.ledger.verify import verify
from gateway.cli.common import open_database, read_settings


@click.group()
def command() -> None:
    """The ledger: whether every entry and every sum still holds."""


@command.command("verify")
def verify_all() -> None:
    """Read the whole ledger and name every entry that was altered or is missing, and every sum that does not follow."""
    engine = open_database(read_settings())
    with tqdm(unit=" entries", file=sys.stderr, disable=None) as bar:
        problems = 0
        for problem in verify(engine, bar.update):
            click.echo(problem)
            problems += 1
    if problems:
        raise click.ClickException(f"{problems} problems: do not close a month on this ledger before they are understood")
    click.echo("The ledger is sound.")


@command.command("confirm-clock")
def confirm_clock() -> None:
    """Say that the wall clock is right after it jumped: only then does a jump ahead open new budget windows."""
    settings = read_settings()
    engine = open_database(settings)
    ledger = Ledger(engine, {}, spool=settings.spool)
    try:
        ledger.confirm_clock()
    finally:
        ledger.close()
    click.echo("The clock is confirmed.")
