"""`vision-gateway backtest`."""

import json
from decimal import Decimal, InvalidOperation
from pathlib import Path

import click

from cost.backtest import backtest
from cost.escalation.fit import TooFewRecords
from cost.money import BadMoney
from cost.records import BadRecords


@click.command()
@click.argument("records", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--prices", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Prices by the records' stem.")
@click.option("--budget", required=True, metavar="USD_PER_10K", help="What 10,000 pictures may cost, in dollars.")
@click.option("--train", default=0.5, show_default=True, type=click.FloatRange(0, 1, min_open=True, max_open=True), help="Share to fit on.")
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0, 2**32 - 1), help="Of the split.")
@click.option("--online", is_flag=True, help="Start knowing nothing and see only what was paid for, under a hard budget.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def command(records: Path, prices: Path, budget: str, train: float, seed: int, online: bool, as_json: bool) -> None:
    """Replay RECORDS, the same pictures answered by several providers, through a policy that learns when another is worth its price."""
    try:
        dollars = Decimal(budget)
    except InvalidOperation as error:
        raise click.BadParameter(f"{budget!r} is not an amount of dollars", param_hint="--budget") from error
    if not dollars.is_finite() or dollars < 0:
        raise click.BadParameter("must be 0 or more dollars", param_hint="--budget")
    try:
        report = backtest(records, prices, dollars, train=train, seed=seed, online=online)
    except (BadRecords, BadMoney, TooFewRecords) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps(report))
        return
    policy = report["policy"]
    click.echo(f"{report['test_records']} of {report['records']} records tested; {budget} USD for 10,000 pictures\n")
    click.echo(f"{'':<16}{'accuracy':>10}{'USD per 10,000':>18}")
    for name, row in {"policy": policy, **report["baselines"]}.items():
        click.echo(f"{name:<16}{row['accuracy']:>10.4f}{row['spend_usd_per_10k']:>18.4f}")
    click.echo("\nasked: " + ", ".join(f"{provider} {share:.1%}" for provider, share in policy["share"].items()))
