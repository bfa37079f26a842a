"""`/costs/invoices`: a provider's invoice against the ledger, and the acceptance that makes the ledger say what it says."""

import hashlib
from pathlib import PurePosixPath
from typing import BinaryIO, ClassVar, cast

from flask import Response, g, request
from werkzeug.datastructures import FileStorage

from cost.invoices import BadInvoice, read_invoice
from cost.ledger import LedgerUnavailable as Unavailable
from cost.ledger.reconciliations import Reconciliation, Source, UnknownReconciliation
from gateway.errors import LedgerUnavailable, NotFound
from gateway.keys import Role
from gateway.web.invoice_view import head_of, view_of
from gateway.web.page import Page, see

_FINANCE: frozenset[Role] = frozenset({"finance"})
_FILE_BYTES_MAX = 256 << 20
_CHUNK_BYTES = 1 << 20


class InvoicesPage(Page):
    """All that were compared, and the form that sends another."""

    roles: ClassVar[frozenset[Role]] = _FINANCE
    title: ClassVar[str] = "Invoices"
    body_bytes_max: ClassVar[int] = _FILE_BYTES_MAX

    def get(self) -> Response:
        """Show them."""
        return self._shown(None)

    def post(self) -> Response:
        """Compare a file with the ledger. Nothing is booked yet."""
        file = request.files.get("file")
        if file is None or not file.filename:
            return self._shown("Choose a file first.")
        source = Source(g.key.name, _name(file.filename), _sha256(file))
        try:
            added = self.parts.ledger.reconciliations.add(read_invoice(cast("BinaryIO", file.stream), self.parts.prices), source)
        except BadInvoice as error:
            return self._shown(f"{source.file_name}: {error}.")
        except Unavailable as error:
            raise LedgerUnavailable(f"The invoice can't be kept right now: {error}.", retry_after_s=5) from error
        return see(f"/costs/invoices/{added.id}")

    def _shown(self, problem: str | None) -> Response:
        invoices = [head_of(record) for record in self.parts.ledger.reconciliations.records()]
        return self.page("invoices.html", 422 if problem else 200, problem=problem, invoices=invoices)


class InvoicePage(Page):
    """One, beside the ledger."""

    roles: ClassVar[frozenset[Role]] = _FINANCE
    title: ClassVar[str] = "Invoice"

    def get(self, name: str) -> Response:
        """Show it."""
        return self.page("invoice.html", invoice=view_of(self._found(name)), done=request.args.get("done") == "accepted")

    def post(self, name: str) -> Response:
        """Accept what was found."""
        self._found(name)
        try:
            self.parts.ledger.reconciliations.accept(name, by=g.key.name, include_missing=request.form.get("include_missing") == "on")
        except Unavailable as error:
            raise LedgerUnavailable(f"It can't be booked right now: {error}. Accept it again.", retry_after_s=5) from error
        return see(f"/costs/invoices/{name}?done=accepted")

    def _found(self, name: str) -> Reconciliation:
        try:
            return self.parts.ledger.reconciliations.get(name)
        except UnknownReconciliation as error:
            raise NotFound(f"There is no invoice {name!r}.") from error


def _name(sent: str) -> str:
    """A file's own name, without folders and without what no database keeps."""
    return PurePosixPath(sent.replace("\\", "/").replace("\0", "")).name or "invoice"


def _sha256(file: FileStorage) -> str:
    digest = hashlib.sha256()
    while chunk := file.stream.read(_CHUNK_BYTES):
        digest.update(chunk)
    file.stream.seek(0)
    return digest.hexdigest()
