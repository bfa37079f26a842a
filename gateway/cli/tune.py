"""`vision-gateway tune`."""

import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import click
from sqlalchemy import Engine

from cost.comparisons import ComparisonStore
from cost.escalation.artefact import BadArtefact
from cost.escalation.fit import TooFewRecords
from cost.escalation.learning import ROWS_MIN
from cost.escalation.policy import Policy
from cost.escalation.shelf import PolicyShelf, UnknownVersion, Version
from cost.escalation.tune import WorseFit, refit
from cost.money import FREE, BadMoney, Money
from cost.record_files import read_prices, read_records, stem_of
from cost.record_lines import records_of
from cost.records import BadRecords, Records
from gateway.cli.common import open_database, read_settings
from providers.contract import FEATURES


@click.group(invoke_without_command=True)
@click.option("--feature", default="objects", show_default=True, type=click.Choice(FEATURES), help="Answers to which question.")
@click.option("--records", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A file instead of the database.")
@click.option("--latest", default=8_000, show_default=True, type=click.IntRange(min=1), help="So many of the latest records.")
@click.option("--prices", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Prices by the file's stem, as backtest has.")
@click.option("--budget", metavar="USD_PER_10K", help="Compare at this spend; half the dearest price by default.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.pass_context
def command(
    context: click.Context, feature: str, file: Path | None, latest: int, prices: Path | None, budget: str | None, as_json: bool
) -> None:
    """Fit the policy of a feature again, on comparison records. A fit that answers held-out records worse than the one in use is refused.

    Running gateways take the new version within seconds. `tune list` shows all versions, `tune use VERSION` goes back to one.
    """
    if context.invoked_subcommand is not None:
        return
    engine = open_database(read_settings())
    shelf = PolicyShelf(engine)
    try:
        records = read_records(file) if file is not None else _of_database(engine, feature, latest)
        _check_enough(records, feature)
        usd = _prices(records, file, prices)
        per_picture = _usual_budget(usd) if budget is None else _per_picture(budget)
        tuned = refit(_in_use(shelf, feature), records, usd, per_picture)
    except (BadRecords, TooFewRecords) as error:
        raise click.ClickException(f"nothing can be learned: {error}") from error
    except WorseFit as error:
        raise click.ClickException(f"refused, the policy in use stays: {error}") from error
    version = shelf.put(feature, tuned.policy, tuned.note)
    if as_json:
        click.echo(json.dumps(_facts(next(one for one in shelf.versions(feature) if one.id == version))))
    else:
        click.echo(f"Version {version} of {feature} is in use: {tuned.policy.records} records, {tuned.policy.target}; {tuned.note}.")


def _check_enough(records: Records, feature: str) -> None:
    if len(records) < ROWS_MIN:
        raise TooFewRecords(f"there are {len(records)} records of {feature}, and at least {ROWS_MIN} are needed; a few hundred say much")


def _of_database(engine: Engine, feature: str, latest: int) -> Records:
    with closing(ComparisonStore(engine)) as store:
        return records_of(store.read(feature=feature, limit=latest))


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def list_versions(as_json: bool) -> None:
    """Every version that is kept; * is in use."""
    versions = PolicyShelf(open_database(read_settings())).versions()
    if as_json:
        click.echo(json.dumps([_facts(version) for version in versions]))
        return
    if not versions:
        click.echo("No policy has been learned yet: `vision-gateway tune` learns one.")
    for one in versions:
        mark = "*" if one.in_use else " "
        click.echo(
            f"{mark} {one.id:>5}  {one.feature:<11}{one.made_at:%Y-%m-%d %H:%M}  {one.records:>6} records  {one.target:<10}{one.note}"
        )


@command.command("use")
@click.argument("version", type=int)
def use(version: int) -> None:
    """Use an earlier VERSION again."""
    shelf = PolicyShelf(open_database(read_settings()))
    try:
        shelf.read(version)
        used = shelf.use(version)
    except UnknownVersion as error:
        raise click.ClickException(f"{error}; `vision-gateway tune list` shows those there are") from error
    except BadArtefact as error:
        raise click.ClickException(f"no gateway could use version {version}: {error}") from error
    click.echo(f"Version {used.id} of {used.feature} is in use.")


def _prices(records: Records, file: Path | None, prices: Path | None) -> dict[str, Money]:
    """Of the price file, else what the answers cost by the records themselves."""
    known = dict(records.prices) if prices is None or file is None else read_prices(prices, stem_of(file))
    if missing := [p for p in records.providers if p not in known]:
        raise click.ClickException(f"nobody says what {', '.join(missing)} costs: name a price file with --prices")
    return known


def _usual_budget(prices: Mapping[str, Money]) -> Money:
    """Half of what the dearest charges: there is most to decide."""
    return max(Money(max(prices.values()).nanos // 2), min(prices.values()))


def _per_picture(usd_per_10k: str) -> Money:
    try:
        amount = Money.usd(usd_per_10k)
    except BadMoney as error:
        raise click.BadParameter(str(error), param_hint="--budget") from error
    if amount < FREE:
        raise click.BadParameter("must be 0 or more dollars", param_hint="--budget")
    return Money(amount.nanos // 10_000)


def _in_use(shelf: PolicyShelf, feature: str) -> Policy | None:
    version = shelf.in_use().get(feature)
    try:
        return None if version is None else shelf.read(version)
    except BadArtefact:  # another release's: nothing to compare with
        return None


def _facts(version: Version) -> dict[str, object]:
    return {
        "version": version.id,
        "feature": version.feature,
        "made_at": version.made_at.isoformat(),
        "records": version.records,
        "target": version.target,
        "in_use": version.in_use,
        "note": version.note,
    }
