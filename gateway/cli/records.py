"""`vision-gateway records`."""

import gzip
import itertools
import json
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal, TextIO, cast

import click
from tqdm import tqdm

from cost.comparisons import BadComparison, Comparison, ComparisonStore
from gateway.cli.common import open_database, read_settings

_BATCH = 200


@click.group()
def command() -> None:
    """Comparison records: pictures that several providers answered. `tune` and `backtest` read them; no picture is in them."""


@command.command()
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def count(as_json: bool) -> None:
    """How many there are, by feature and origin."""
    with closing(ComparisonStore(open_database(read_settings()))) as store:
        rows = [{"feature": feature, "origin": origin, "records": n} for (feature, origin), n in sorted(store.counts().items())]
    if as_json:
        click.echo(json.dumps(rows))
        return
    if not rows:
        click.echo("There are no records yet: experiments and `vision-gateway compare` write them.")
    for row in rows:
        click.echo(f"{row['records']:>8}  {row['feature']:<12}{row['origin']}")


@command.command("export")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--feature", help="Only answers to this question: objects, labels, faces, text or moderation.")
@click.option("--source", help="Only what this experiment or comparison wrote.")
def export_records(file: Path, feature: str | None, source: str | None) -> None:
    """Write them to FILE, one JSON object a line. A name that ends in .gz is compressed. The form that `backtest` reads."""
    written = 0
    with closing(ComparisonStore(open_database(read_settings()))) as store, _open(file, "wt") as out:
        for record in tqdm(store.stream(feature=feature, source=source), unit=" records", file=sys.stderr, disable=None):
            out.write(record.to_line() + "\n")
            written += 1
    click.echo(f"{written} records are in {file}.")


@command.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def import_records(file: Path) -> None:
    """Read FILE into the database. A record that is there already stays as it is, so that a file may be read twice."""
    new = total = 0
    with closing(ComparisonStore(open_database(read_settings()))) as store, _open(file, "rt") as lines:
        records = _read(file, lines)
        with tqdm(unit=" records", file=sys.stderr, disable=None) as bar:
            while batch := list(itertools.islice(records, _BATCH)):
                new, total = new + store.write(batch), total + len(batch)
                bar.update(len(batch))
    click.echo(f"{total} records, {new} of them new.")


def _open(file: Path, mode: Literal["rt", "wt"]) -> TextIO:
    try:
        return cast("TextIO", gzip.open(file, mode, encoding="utf-8") if file.suffix == ".gz" else file.open(mode, encoding="utf-8"))
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}") from error


def _read(file: Path, lines: TextIO) -> Iterator[Comparison]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield Comparison.from_line(line)
            except BadComparison as error:
                raise click.ClickException(f"{file}, line {number}: {error}") from error
