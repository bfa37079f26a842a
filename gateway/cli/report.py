"""`vision-gateway report`."""

import json
from datetime import UTC, date, datetime

import click

from cost.database import read_snapshot
from cost.ledger import BadReport, CostFilter, cost_rows
from cost.ledger.reports import total
from gateway.cli.common import open_database, print_table, read_settings
from gateway.cost_columns import SUMS, sums_out

_DAY = click.DateTime(["%Y-%m-%d"])


@click.command()
@click.option(
    "--from", "first", type=_DAY, metavar="DAY", help="Such as 2026-11-30: the first UTC day; the first of this month by default."
)
@click.option("--to", "last", type=_DAY, metavar="DAY", help="The last UTC day, included; today by default.")
@click.option("--group-by", default="provider", show_default=True, help="Comma list of provider, day, sku, feature, client and tag:NAME.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def command(first: datetime | None, last: datetime | None, group_by: str, as_json: bool) -> None:
    """What was spent, in US dollars, and apart from it what is held, unknown, imputed and avoided."""
    today = datetime.now(UTC).date()
    words = [word.strip() for word in group_by.split(",") if word.strip()]
    where = CostFilter(first=_day(first, today.replace(day=1)), last=_day(last, today))
    if where.last < where.first:
        raise click.BadParameter(f"{where.last} is before --from, {where.first}", param_hint="--to")
    with read_snapshot(open_database(read_settings())) as connection:
        try:
            rows = list(cost_rows(connection, where, words))
        except BadReport as error:
            raise click.BadParameter(str(error), param_hint="--group-by") from error
    sums = sums_out(total(rows))
    if as_json:
        click.echo(json.dumps({"rows": [row.keys | sums_out(row) for row in rows], "total": sums}))
        return
    last_line = ["total", *[""] * (len(words) - 1)][: len(words)]
    lines = [[*row.keys.values(), *map(str, sums_out(row).values())] for row in rows]
    print_table([[*words, *(name.removesuffix("_usd") for name in SUMS)], *lines, [*last_line, *map(str, sums.values())]], len(words))


def _day(given: datetime | None, default: date) -> date:
    return default if given is None else given.date()
