"""`vision-gateway compare`."""

import json
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from cost.comparisons import ComparisonStore
from cost.ledger import Ledger
from cost.money import FREE, Money
from gateway.breaker import Breaker
from gateway.cli.common import open_database, providers_and_prices, read_settings
from gateway.dispatch import Dispatcher
from gateway.experiments.asking import BudgetSpent, NotNow
from gateway.experiments.bulk import BulkComparison, OtherTerms, Unpriced
from gateway.experiments.datasets import BadDataset, Truths, read_files, read_truths
from gateway.experiments.making import BadTerms, check
from gateway.experiments.report_schema import ReportOut
from gateway.experiments.store import Experiment, ExperimentStore, NoExperiment
from gateway.experiments.terms import TRUTH, Arm, Terms
from gateway.latency import LatencyTracker
from gateway.line import Line
from gateway.metering import Meter
from gateway.pictures import KeptPictures, small_jpeg
from gateway.reads import BoundedReads
from gateway.settings import Settings
from providers import registry
from providers.contract import FEATURES, Feature

_READY_WITHIN_S = 120.0
_SIDE_MAX = 720
"""Pixels of a picture's longer side in the HTML file."""


@click.command()
@click.argument("pictures", type=click.Path(exists=True, path_type=Path), metavar="DIR_OR_MANIFEST")
@click.option("--providers", required=True, help="Comma list of at least two, such as local,rekognition,google_vision.")
@click.option("--annotations", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="What is on them, as COCO JSON.")
@click.option("--max-cost-usd", required=True, help="A hard ceiling over everything that this comparison pays, in dollars.")
@click.option("--features", default="objects", show_default=True, help="Comma list.")
@click.option("--reference", help="The provider whose answers count as right, where there are no annotations.")
@click.option("--name", help="Of the comparison; from the folder's by default. Under a known name it is gone on with.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Where the report goes; NAME.html by default.")
@click.option("--parallel", default=4, show_default=True, type=click.IntRange(1, 32), help="Pictures at a time.")
@click.option("--yes", is_flag=True, help="Don't ask before it costs money.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def command(**options: Any) -> None:
    """Show every picture to every provider, and say which is better, what it costs, and where they differ.

    What it will cost is told before it starts. Interrupted, the same command goes on where it was. DIR_OR_MANIFEST is a folder of
    pictures, or a text file that names one a line.
    """
    asked = _Asked(**options)
    terms = asked.terms()
    try:
        files, truths = read_files(asked.pictures), read_truths(asked.annotations) if asked.annotations else Truths()
    except BadDataset as error:
        raise click.ClickException(str(error)) from error
    with _workshop(asked.names, asked.parallel) as (comparison, store, lines, settings):
        try:
            check(terms, lines)
        except BadTerms as error:
            raise click.ClickException(str(error)) from error
        confirm = not asked.yes and sys.stdin.isatty()
        experiment, note = _compare(comparison, terms, truths, files, lines, parallel=asked.parallel, confirm=confirm)
        experiment = store.stop(experiment.name, note)
        target = asked.html or Path(f"{terms.name}.html")
        report = _write(comparison, store, experiment, target, settings)
    if asked.as_json:
        click.echo(json.dumps({**report.model_dump(mode="json", exclude_none=True), "html": str(target)}))
        return
    click.echo(f"\n{report.verdict.sentence}\n")
    for arm, told in report.arms.items():
        click.echo(f"  {arm:<16}{_quality(report, arm)}{told.cost_usd} USD for {told.pictures} picture{'s' * (told.pictures != 1)}")
    click.echo(f"\n{note}. The report: {target}, and /experiments/{terms.name} of a gateway on this database.")


def _quality(report: ReportOut, arm: str) -> str:
    """How good an arm is, by the truth; without one, how far it agrees with the arm that it was held against."""
    if report.reference == arm:
        return "the others are held against it   "
    f1 = report.arms[arm].metrics.get("f1")
    if f1 is None or f1.value is None:
        return ""
    against = f" against {report.reference}" if report.reference else ""
    return f"F1{against} {f1.value:.3f} ({f1.low:.3f} to {f1.high:.3f})   "


@dataclass(frozen=True)
class _Asked:
    """The command's options."""

    pictures: Path
    providers: str
    annotations: Path | None
    max_cost_usd: str
    features: str
    reference: str | None
    name: str | None
    html: Path | None
    parallel: int
    yes: bool
    as_json: bool

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(part.strip() for part in self.providers.split(",") if part.strip()))

    def terms(self) -> Terms:
        folder = re.sub(r"[^A-Za-z0-9._-]+", "-", self.pictures.resolve().stem)[:40].strip("-.")
        return Terms(
            name=self.name or f"compare-{folder or 'pictures'}",
            mode="paired",
            arms=tuple(Arm(provider, (provider,)) for provider in self.names),
            reference=TRUTH if self.annotations else self.reference,
            sample_rate=0.0,  # no client's picture takes part
            budget=_dollars(self.max_cost_usd),
            features=_features(self.features),
        )


def _compare(
    comparison: BulkComparison, terms: Terms, truths: Truths, files: list[Path], lines: dict[str, Line], *, parallel: int, confirm: bool
) -> tuple[Experiment, str]:
    """Look, tell the cost, and ask everybody. What there was, and in words how it ended."""
    with _bar(len(files), "reading") as bar:
        comparison.look(files, bar.update)
    for path, problem in comparison.refused.items():
        click.echo(f"left out: {path}: {problem}", err=True)
    if not comparison.files:
        raise click.ClickException("None of the files is a picture that can be used.")
    try:
        experiment = comparison.open(terms, truths, os.environ.get("USER", "command line"))
        to_ask = comparison.to_ask(terms)
        prices = comparison.price(terms, to_ask)
    except (OtherTerms, NoExperiment, Unpriced) as error:
        raise click.ClickException(str(error)) from error
    total = sum((price.total for price in prices.values()), FREE)
    for arm, price in prices.items():
        listed = (
            f"   free units or volume of this month included; {price.list_price} USD by the list" if price.list_price > price.total else ""
        )
        click.echo(f"{arm:<16}{len(to_ask[arm]):>7} pictures to ask{price.total!s:>14} USD{listed}", err=True)
    click.echo(f"{'in all':<16}{'':>7}                {total!s:>14} USD, at most {terms.budget} USD", err=True)
    if confirm and total and not click.confirm("Go on?", default=True, err=True):
        raise click.Abort
    _wait_until_ready([lines[arm] for arm, digests in to_ask.items() if digests])
    done = 0
    try:
        with _bar(len(comparison.files), "comparing") as bar:
            for _ in comparison.run(experiment, parallel):
                done += 1
                bar.update()
    except BudgetSpent:
        return (
            experiment,
            f"The ceiling of {terms.budget} USD is reached after {done} of {len(comparison.files)} pictures; raise it and run it again",
        )
    except NotNow as error:
        return experiment, f"Stopped after {done} of {len(comparison.files)} pictures: {error}"
    except KeyboardInterrupt:
        raise click.ClickException(f"interrupted after {done} pictures; the same command goes on from there") from None
    return experiment, f"{done} picture{' was' if done == 1 else 's were'} compared"


def _write(comparison: BulkComparison, store: ExperimentStore, experiment: Experiment, target: Path, settings: Settings) -> ReportOut:
    from gateway.experiments.reporting import make_report, write_report  # noqa: PLC0415 -- scipy, long after --help
    from gateway.web.experiment_file import report_file  # noqa: PLC0415

    def jpeg(digest: str) -> bytes | None:
        return small_jpeg(comparison.picture(digest), _SIDE_MAX) if digest in comparison.files else None

    report = make_report(store, experiment)
    target.write_text(report_file(experiment, report, jpeg, simulated=settings.simulated), encoding="utf-8")
    return write_report(report, experiment)


@contextmanager
def _workshop(names: tuple[str, ...], parallel: int) -> Iterator[tuple[BulkComparison, ExperimentStore, dict[str, Line], Settings]]:
    """Everything that a comparison is made with; given back at the end."""
    if len(names) < 2:
        raise click.BadParameter("name at least two", param_hint="--providers")
    if unknown := [name for name in names if name not in registry.names()]:
        raise click.BadParameter(f"there is no provider {unknown[0]!r}; choose of {', '.join(registry.names())}", param_hint="--providers")
    settings = replace(read_settings(), providers=names)
    engine = open_database(settings)
    providers, prices = providers_and_prices(settings)
    with ExitStack() as open_:
        open_.callback(engine.dispose)
        ledger, reads, comparisons = Ledger(engine, prices, spool=settings.spool), BoundedReads(), ComparisonStore(engine)
        open_.callback(reads.close)
        open_.callback(ledger.close)
        open_.callback(comparisons.close)
        meter = Meter(ledger, prices, reads)
        dispatcher = Dispatcher(
            [Line(provider, parallel, LatencyTracker(), Breaker(), meter) for provider in providers],
            default_deadline_ms=settings.default_deadline_ms,
        )
        open_.callback(dispatcher.close)
        store, pictures = ExperimentStore(engine), KeptPictures(engine, settings.pictures_kept_days)
        yield BulkComparison(store, comparisons, pictures, ledger, dispatcher, settings.image_limits), store, dispatcher.lines, settings


def _wait_until_ready(lines: list[Line]) -> None:
    """The in-house model takes seconds to load; it may not count as slow, or as failed."""
    give_up_at = time.monotonic() + _READY_WITHIN_S
    for line in lines:
        line.provider.warm()
    while waiting := [line for line in lines if not line.provider.health().ready]:
        if time.monotonic() > give_up_at:
            raise click.ClickException(f"{waiting[0].name} is not ready: {waiting[0].provider.health().detail}")
        time.sleep(0.05)


def _bar(total: int, doing: str) -> "tqdm[None]":
    return tqdm(total=total, desc=doing, unit=" pictures", file=sys.stderr, disable=None)


def _dollars(text: str) -> Money:
    try:
        money = Money.usd(str(Decimal(text)))
    except (ValueError, ArithmeticError) as error:
        raise click.BadParameter(f"{text!r} is not an amount of dollars", param_hint="--max-cost-usd") from error
    if money < FREE:
        raise click.BadParameter("must be 0 or more dollars", param_hint="--max-cost-usd")
    return money


def _features(text: str) -> tuple[Feature, ...]:
    asked = [part.strip() for part in text.split(",") if part.strip()]
    if not asked or (unknown := [one for one in asked if one not in FEATURES]):
        raise click.BadParameter(f"choose of {', '.join(FEATURES)}" + (f"; not {unknown[0]}" if asked else ""), param_hint="--features")
    return tuple(feature for feature in FEATURES if feature in asked)
