"""`/costs/invoices`: a provider's invoice against the ledger, and the acceptance that makes the ledger say what it says."""

import hashlib
from typing import Any, ClassVar

from flask import Response, g, request

from cost.invoices import BadInvoice, read_invoice
from cost.ledger import LedgerUnavailable as Unavailable
from cost.ledger.reconciliations import Reconciliation, Source, UnknownReconciliation
from gateway.errors import LedgerUnavailable, NotFound
from gateway.keys import Role
from gateway.uploads import UPLOAD_BYTES_MAX, own_name
from gateway.web.invoice_view import head_of, view_of
from gateway.web.page import Page, see

_FINANCE: frozenset[Role] = frozenset({"finance"})


class InvoicesPage(Page):
    """All that were compared, and the form that sends another."""

    roles: ClassVar[frozenset[Role]] = _FINANCE
    title: ClassVar[str] = "Invoices"
    body_bytes_max: ClassVar[int] = UPLOAD_BYTES_MAX

    def get(self) -> Response:
        """Show them."""
        return self._shown(None)

    def post(self) -> Response:
        """Compare a file with the ledger. Nothing is booked yet."""
        file = request.files.get("file")
        if file is None or not file.filename:
            return self._shown("Choose a file first.")
        stream: Any = file.stream
        source = Source(g.key.name, own_name(file.filename), hashlib.file_digest(stream, "sha256").hexdigest())
        stream.seek(0)
        try:
            added = self.parts.ledger.reconciliations.add(read_invoice(stream, self.parts.prices), source)
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
