"""`vision-gateway report`."""

import json
from datetime import UTC, date, datetime

import click

from cost.ledger import BadReport, CostRow, reports
from gateway.cli.common import open_database, read_settings

_AMOUNTS = ("cost", "reserved", "unknown", "imputed", "avoided")


@click.command()
@click.option("--from", "first", type=click.DateTime(["%Y-%m-%d"]), help="The first UTC day; the first of this month by default.")
@click.option("--to", "last", type=click.DateTime(["%Y-%m-%d"]), help="The last UTC day, included; today by default.")
@click.option(
    "--group-by", default="provider", show_default=True, help="Comma list of provider, day, sku, feature, client and one tag:NAME."
)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def command(first: datetime | None, last: datetime | None, group_by: str, as_json: bool) -> None:
    """What was spent, in US dollars, and apart from it what is held, unknown, imputed and avoided."""
    today = datetime.now(UTC).date()
    words = [word.strip() for word in group_by.split(",") if word.strip()]
    with open_database(read_settings()).connect() as connection:
        try:
            rows = reports.costs(connection, _day(first, today.replace(day=1)), _day(last, today), words)
        except BadReport as error:
            raise click.BadParameter(str(error), param_hint="--group-by") from error
    table = [*((row, list(row.keys.values())) for row in rows), (reports.total(rows), ["total", *[""] * (len(words) - 1)][: len(words)])]
    if as_json:
        click.echo(json.dumps({"rows": [row.keys | _sums(row) for row in rows], "total": _sums(reports.total(rows))}))
        return
    lines = [[*words, "calls", "units", *_AMOUNTS], *([*keys, *map(str, _sums(row).values())] for row, keys in table)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        cells = [c.ljust(w) if n < len(words) else c.rjust(w) for n, (c, w) in enumerate(zip(line, widths, strict=True))]
        click.echo("  ".join(cells).rstrip())


def _day(given: datetime | None, default: date) -> date:
    return default if given is None else given.date()


def _sums(row: CostRow) -> dict[str, object]:
    amounts = {f"{name}_usd": str(getattr(row, name)) for name in _AMOUNTS}
    return {"calls": row.calls, "billed_units": row.billed_units, **amounts}
