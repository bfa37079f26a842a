"""Reconciliations: an invoice is kept, compared with the ledger as it is, and accepted once, by somebody.

To accept resolves the unknown calls of the invoice's days - those it counts are settled, the others released - and books what is left over
as corrections. Nothing is edited. A process that dies in the middle leaves an open reconciliation; to accept it again does the rest, and
to accept an accepted one does nothing.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update

from cost.database import read_snapshot
from cost.invoices import Invoice, InvoiceKey, InvoiceSums
from cost.ledger.book import Book
from cost.ledger.corrections import Correction, write_correction
from cost.ledger.errors import LedgerError
from cost.ledger.invoiced import InvoicedDays
from cost.ledger.reconciliation_schema import reconciliation_lines, reconciliations
from cost.ledger.settlement import Resolve
from cost.ledger.times import new_id
from cost.money import FREE, Money
from cost.price_sheets import PriceBook
from cost.reconciliation import Comparison, Finding, compare

_AT_A_TIME = 500
_MONEY_PARTS = ("other_user", "free_tier", "price_changed", "rounding")

Alone = Callable[..., Any]
"""Runs work on the ledger's writer, in a transaction of its own."""


class UnknownReconciliation(LedgerError):
    """There is none of that id."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where an invoice comes from: who sent it, the file's name and its SHA-256 (hex)."""

    by: str
    file_name: str
    file_sha256: str


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """One invoice's.

    Attributes:
        record: its row: `id`, `created_at_us`, `created_by`, `file_name`, `file_format`, `file_rows`, `other_rows`, `tax_nanos`,
            `accepted_at_us`, `accepted_by` (None while it is open).
        comparison: with the ledger as it is now.
        accepted: what was found when it was accepted, as `finding_facts` says it; empty while it is open.
        booked: the corrections that were booked, by key.
    """

    record: dict[str, Any]
    comparison: Comparison
    accepted: list[dict[str, Any]]
    booked: dict[InvoiceKey, str]

    @property
    def id(self) -> str:
        """Its id."""
        id_: str = self.record["id"]
        return id_

    @property
    def is_accepted(self) -> bool:
        """Whether somebody has accepted it."""
        return self.record["accepted_at_us"] is not None


class ReconciliationDesk:
    """The ledger's reconciliations. Shared by threads."""

    def __init__(self, engine: Engine, prices: PriceBook, alone: Alone) -> None:
        self._engine = engine
        self._prices = prices
        self._alone = alone

    def add(self, invoice: Invoice, source: Source) -> Reconciliation:
        """Keep an invoice. The same file again is the same reconciliation.

        Raises:
            LedgerUnavailable: see there.
        """
        reconciliation_id: str = self._alone(lambda book: _keep(book, invoice, source), exclusive=True, durable=True)
        return self.get(reconciliation_id)

    def get(self, reconciliation_id: str) -> Reconciliation:
        """One, compared with the ledger as it is now.

        Raises:
            UnknownReconciliation: there is none.
        """
        with read_snapshot(self._engine) as connection:
            row = connection.execute(select(reconciliations).where(reconciliations.c.id == reconciliation_id)).mappings().one_or_none()
            if row is None:
                raise UnknownReconciliation(f"there is no reconciliation {reconciliation_id}")
            booked = select(reconciliation_lines).where(
                reconciliation_lines.c.reconciliation_id == reconciliation_id, reconciliation_lines.c.correction_id.is_not(None)
            )
            corrections = {_key(line): line["correction_id"] for line in connection.execute(booked).mappings()}
            return Reconciliation(
                dict(row), self._compare(connection, reconciliation_id), json.loads(row["accepted_findings"] or "[]"), corrections
            )

    def records(self) -> list[dict[str, Any]]:
        """Every reconciliation's row, the newest first."""
        with self._engine.connect() as connection:
            query = select(reconciliations).order_by(reconciliations.c.created_at_us.desc(), reconciliations.c.id)
            return [dict(row) for row in connection.execute(query).mappings()]

    def accept(self, reconciliation_id: str, *, by: str, include_missing: bool = False) -> Reconciliation:
        """Make the ledger say what the invoice says. Does nothing to one that was accepted.

        Args:
            reconciliation_id: which.
            by: who accepts it.
            include_missing: also take away what the invoice does not have; otherwise `missing_rows` stay as they are, since such rows may
                be late.

        Raises:
            UnknownReconciliation: there is none.
            LedgerUnavailable: see there; accept it again.
        """
        while self._alone(lambda book: self._resolve_some(book, reconciliation_id), exclusive=True, durable=True):
            pass
        self._alone(lambda book: self._book(book, reconciliation_id, by, include_missing), exclusive=True, durable=True)
        return self.get(reconciliation_id)

    def _compare(self, connection: Connection, reconciliation_id: str) -> Comparison:
        lines = dict(_lines(connection, reconciliation_id))
        days = InvoicedDays(lines, self._prices)
        return compare(lines, days.settled(connection), days.unknown(connection), self._list_price)

    def _list_price(self, key: InvoiceKey) -> Money | None:
        sheet = self._prices.get(key.provider)
        rows = [] if sheet is None else [price for price in sheet.prices if price.sku == key.sku]
        return max(rows, key=lambda row: (row.effective_from.isoformat() <= key.day, row.effective_from)).list_unit_price if rows else None

    def _resolve_some(self, book: Book, reconciliation_id: str) -> bool:
        """Settle or release unknown calls; whether there may be more. The first time, what was found is written down."""
        row = _open_row(book, reconciliation_id)
        if row is None:
            return False
        comparison = self._compare(book.connection, reconciliation_id)
        if row["accepted_findings"] is None:
            findings = json.dumps([finding_facts(finding) for finding in comparison.findings], ensure_ascii=False)
            book.connection.execute(_of(reconciliation_id).values(accepted_findings=findings))
        settle, release = set(comparison.settle[:_AT_A_TIME]), comparison.release[:_AT_A_TIME]
        if not settle and not release:
            return False
        book.read(attempt_ids=[*settle, *release], released_ids=release)
        for attempt_id in [*settle, *release]:
            Resolve(attempt_id, "settled" if attempt_id in settle else "released", "reconciled").apply(book)
        return True

    def _book(self, book: Book, reconciliation_id: str, by: str, include_missing: bool) -> None:
        if _open_row(book, reconciliation_id) is None:
            return
        causes = {*_MONEY_PARTS, *(["missing_rows"] if include_missing else [])}
        windows: dict[str, list[int]] = {}
        for finding in self._compare(book.connection, reconciliation_id).findings:
            parts = [part for part in finding.parts if part.cause in causes]
            units, amount = sum(part.units for part in parts), sum((part.amount for part in parts), FREE)
            if not units and not amount:
                continue
            provider, day, sku, _ = finding.key
            if provider not in windows:
                windows[provider] = book.windows_now(provider)
            reason = f"reconciliation {reconciliation_id}: {', '.join(part.cause for part in parts)}"
            correction = Correction(day=day, provider=provider, sku=sku, amount=amount, units=units, reason=reason)
            correction_id = write_correction(book, correction, windows[provider])
            _note_correction(book.connection, reconciliation_id, finding, correction_id)
        book.connection.execute(_of(reconciliation_id).values(accepted_at_us=book.now_us, accepted_by=by[:128]))


def finding_facts(finding: Finding) -> dict[str, Any]:
    """A finding as JSON: amounts are decimal strings."""
    invoice = finding.invoice
    return {
        **finding.key._asdict(),
        "invoice_units": invoice.units if invoice else None,
        "invoice_usd": str(invoice.amount) if invoice else None,
        "ledger_units": finding.ledger.units,
        "ledger_usd": str(finding.ledger.amount),
        "unknown_units": finding.unknown_units,
        "unknown_usd": str(finding.unknown),
        "variance_units": finding.units,
        "variance_usd": str(finding.amount),
        "causes": [
            {"cause": part.cause, "units": part.units, "amount_usd": str(part.amount), "detail": part.detail} for part in finding.parts
        ],
    }


def _keep(book: Book, invoice: Invoice, source: Source) -> str:
    run = book.connection.execute
    known = run(select(reconciliations.c.id).where(reconciliations.c.file_sha256 == source.file_sha256)).scalar()
    if known is not None:
        return str(known)
    reconciliation_id = new_id()
    row = {"id": reconciliation_id, "created_at_us": book.now_us, "created_by": source.by[:128], "file_name": source.file_name[:255]}
    row |= {"file_sha256": source.file_sha256, "file_format": invoice.format, "file_rows": invoice.rows, "other_rows": invoice.other_rows}
    run(insert(reconciliations), row | {"tax_nanos": invoice.tax.nanos})
    run(insert(reconciliation_lines), [_line(reconciliation_id, key, sums) for key, sums in sorted(invoice.lines.items())])
    return reconciliation_id


def _line(reconciliation_id: str, key: InvoiceKey, sums: InvoiceSums) -> dict[str, Any]:
    amounts = {"amount_nanos": sums.amount.nanos, "credit_nanos": sums.credit.nanos}
    return {"reconciliation_id": reconciliation_id, **key._asdict(), "units": sums.units, "free_units": sums.free_units, **amounts}


def _lines(connection: Connection, reconciliation_id: str) -> Iterator[tuple[InvoiceKey, InvoiceSums]]:
    """The invoice's sums; a key that only a correction stands for is not the invoice's."""
    query = select(reconciliation_lines).where(reconciliation_lines.c.reconciliation_id == reconciliation_id)
    for row in connection.execute(query).mappings():
        if row["free_units"] >= 0:
            yield _key(row), InvoiceSums(row["units"], Money(row["amount_nanos"]), row["free_units"], Money(row["credit_nanos"]))


def _key(row: Any) -> InvoiceKey:
    return InvoiceKey(row["provider"], row["day"], row["sku"], row["region"])


def _note_correction(connection: Connection, reconciliation_id: str, finding: Finding, correction_id: str) -> None:
    if finding.invoice is None:
        # The invoice has no line of it: one with -1 free units stands for the correction alone.
        line = _line(reconciliation_id, finding.key, InvoiceSums(0, FREE, free_units=-1))
        connection.execute(insert(reconciliation_lines), line | {"correction_id": correction_id})
        return
    mine = [reconciliation_lines.c[name] == value for name, value in finding.key._asdict().items()]
    mine.append(reconciliation_lines.c.reconciliation_id == reconciliation_id)
    connection.execute(update(reconciliation_lines).where(*mine).values(correction_id=correction_id))


def _open_row(book: Book, reconciliation_id: str) -> Any:
    """Its row, or None where it was accepted."""
    query = select(reconciliations).where(reconciliations.c.id == reconciliation_id)
    row = book.connection.execute(query).mappings().one_or_none()
    if row is None:
        raise UnknownReconciliation(f"there is no reconciliation {reconciliation_id}")
    return None if row["accepted_at_us"] is not None else row


def _of(reconciliation_id: str) -> Any:
    return update(reconciliations).where(reconciliations.c.id == reconciliation_id)
