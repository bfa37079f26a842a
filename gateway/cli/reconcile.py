"""`vision-gateway reconcile`."""

import getpass
import hashlib
import sys
from pathlib import Path
from typing import BinaryIO

import click
from tqdm import tqdm

from cost.invoices import BadInvoice, read_invoice
from cost.ledger import Ledger, LedgerError
from cost.ledger.reconciliations import Source
from cost.money import Money
from gateway.cli.common import open_database, providers_and_prices, read_settings
from gateway.wire.reconciliations import ReconciliationOut, reconciliation_out


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--accept", is_flag=True, help="Settle or release unknown calls, and book what is left as corrections.")
@click.option("--include-missing", is_flag=True, help="With --accept: also take away what the invoice does not have.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def command(file: Path, accept: bool, include_missing: bool, as_json: bool) -> None:
    """Compare an invoice with the ledger: an AWS Cost and Usage Report, a Google Cloud billing export or FOCUS; CSV, JSON or Parquet."""
    settings = read_settings()
    _, prices = providers_and_prices(settings)
    ledger = Ledger(open_database(settings), prices, spool=settings.spool)
    who = f"{getpass.getuser()} (command line)"
    try:
        with (
            file.open("rb") as source,
            tqdm(total=file.stat().st_size, unit="B", unit_scale=True, file=sys.stderr, disable=None, desc="reading") as bar,
        ):
            digest = hashlib.file_digest(source, "sha256").hexdigest()
            source.seek(0)
            invoice = read_invoice(_Watched(source, bar), prices)  # type: ignore[arg-type]
        found = ledger.reconciliations.add(invoice, Source(who, file.name, digest))
        if accept:
            found = ledger.reconciliations.accept(found.id, by=who, include_missing=include_missing)
        out = reconciliation_out(found)
    except BadInvoice as error:
        raise click.ClickException(f"{file}: {error}") from error
    except LedgerError as error:
        raise click.ClickException(f"the ledger: {error}") from error
    finally:
        ledger.close()
    click.echo(out.model_dump_json(exclude_none=True) if as_json else _as_text(out))


def _as_text(out: ReconciliationOut) -> str:
    lines = [f"{out.file_name}: {out.format}, {out.rows} rows, {out.state}; reconciliation {out.id}"]
    findings = out.accepted_findings or out.findings
    differing = [one for one in findings if one.causes or one.variance_units or Money.usd(one.variance_usd)]
    for finding in differing:
        region = "" if finding.region == "*" else f" {finding.region}"
        there = f"invoice {finding.invoice_units or 0} units {finding.invoice_usd or 0} USD"
        here = f"ledger {finding.ledger_units} units {finding.ledger_usd} USD"
        differs = f"differs by {finding.variance_usd} USD"
        lines.append(f"{finding.day}  {finding.provider} {finding.sku}{region}  {there}, {here}, {differs}")
        lines += [f"    {cause.cause}: {cause.units} units, {cause.amount_usd} USD; {cause.detail}" for cause in finding.causes]
    lines.append(f"{len(findings) - len(differing)} of {len(findings)} days of a SKU agree")
    lines.append(f"left over: {out.variance_units} units, {out.variance_usd} USD")
    return "\n".join(lines)


class _Watched:
    """A file that tells a progress bar how far it has been read."""

    def __init__(self, file: BinaryIO, bar: "tqdm[None]") -> None:
        self._file = file
        self._bar = bar

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._bar.update(len(data))
        return data
