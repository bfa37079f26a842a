"""`vision-gateway ledger`."""

import sys
from pathlib import Path

import click
from pysqlite3 import dbapi2 as sqlite
from tqdm import tqdm

from cost.backup import back_up
from cost.ledger import Ledger
from cost.ledger.verify import verify
from gateway.cli.common import open_database, read_settings


@click.group()
def command() -> None:
    """The ledger: whether every entry and every sum still holds; and a backup of it."""


@command.command("verify")
def verify_all() -> None:
    """Read the whole ledger. Name every entry that was altered or is missing, and every sum that does not follow."""
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
    """Say that the wall clock is right after it jumped. Only then does a jump ahead open new budget windows."""
    settings = read_settings()
    engine = open_database(settings)
    ledger = Ledger(engine, {}, spool=settings.spool)
    try:
        ledger.confirm_clock()
    finally:
        ledger.close()
    click.echo("The clock is confirmed.")


@command.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
def backup(file: Path) -> None:
    """Copy the whole database to FILE while gateways go on. It is as it was at one moment. PostgreSQL has pg_dump for that."""
    engine = open_database(read_settings(), as_it_is=True)
    if engine.dialect.name != "sqlite":
        raise click.ClickException("this database is PostgreSQL's; back it up with pg_dump")
    if file.exists():
        raise click.ClickException(f"{file} exists already; a backup is not written over")
    try:
        back_up(engine, file)
    except (OSError, sqlite.Error) as error:
        raise click.ClickException(f"{file} can't be written: {error}") from error
    click.echo(f"{file} holds the database, {file.stat().st_size / 1e6:.1f} MB.")
