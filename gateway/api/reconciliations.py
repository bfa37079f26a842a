"""`/v1/costs/reconciliations`: a provider's invoice against the ledger, and its acceptance."""

from typing import Annotated, ClassVar

from flask import Response, g, request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import OperationalError

from cost.invoices import BadInvoice, read_invoice
from cost.ledger import LedgerUnavailable as Unavailable
from cost.ledger.reconciliations import Source, UnknownReconciliation
from gateway import errors
from gateway.api.resource import Description, GatewayResource, describes, json_response, read_body, read_query
from gateway.errors import InvalidParameter, LedgerUnavailable, NotFound
from gateway.keys import Role
from gateway.uploads import uploaded
from gateway.wire.reconciliations import ReconciliationOut, RecordOut, reconciliation_out, record_facts

_FINANCE: frozenset[Role] = frozenset({"finance"})
_ERRORS = (errors.NotFound, errors.LedgerUnavailable)


class UploadQuery(BaseModel):
    """Beside the file."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field("", max_length=255, description="The file's name, where no form gives it.")


class ReconciliationsOut(BaseModel):
    """All of them, the newest first."""

    reconciliations: Annotated[list[RecordOut], Field(description="Without their findings.")]


class AcceptIn(BaseModel):
    """How to accept."""

    model_config = ConfigDict(extra="forbid")

    include_missing: Annotated[bool, Field(description="Also take away what the invoice does not have: its rows are not late.")] = False


class Reconciliations(GatewayResource):
    """All of them."""

    roles: ClassVar[frozenset[Role]] = _FINANCE

    @describes(Description("Every invoice that was compared with the ledger", ReconciliationsOut, errors=(errors.LedgerUnavailable,)))
    def get(self) -> Response:
        """List them."""
        try:
            records = self.parts.ledger.reconciliations.records()
        except OperationalError as error:
            raise LedgerUnavailable("The ledger can't be read right now.", retry_after_s=5) from error
        return json_response(ReconciliationsOut(reconciliations=[RecordOut.model_validate(record_facts(record)) for record in records]))

    @describes(
        Description(
            "Compare an invoice (AWS Cost and Usage Report, Google Cloud billing export or FOCUS; CSV, JSON or Parquet) with the ledger",
            ReconciliationOut,
            status=201,
            query=UploadQuery,
            file=True,
            errors=(errors.InvalidParameter, errors.FileTooLarge, errors.LedgerUnavailable),
        )
    )
    def post(self) -> Response:
        """Read it, keep its sums, and compare. The same file again is the same reconciliation."""
        asked = read_query(UploadQuery, request.args)
        with uploaded(request, asked.name) as upload:
            try:
                invoice = read_invoice(upload.file, self.parts.prices)
            except BadInvoice as error:
                raise BadFile(error) from error
            source = Source(g.key.name, upload.name, upload.sha256)
        try:
            return json_response(reconciliation_out(self.parts.ledger.reconciliations.add(invoice, source)), 201)
        except (Unavailable, OperationalError) as error:
            raise LedgerUnavailable(f"The invoice can't be recorded right now: {error}.", retry_after_s=5) from error


class ReconciliationOfId(GatewayResource):
    """One."""

    roles: ClassVar[frozenset[Role]] = _FINANCE

    @describes(Description("An invoice and how the ledger differs from it now", ReconciliationOut, errors=_ERRORS))
    def get(self, reconciliation_id: str) -> Response:
        """Show it."""
        try:
            return json_response(reconciliation_out(self.parts.ledger.reconciliations.get(reconciliation_id)))
        except UnknownReconciliation as error:
            raise NotFound(f"There is no reconciliation {reconciliation_id!r}; GET /v1/costs/reconciliations lists them.") from error
        except OperationalError as error:
            raise LedgerUnavailable("The ledger can't be read right now.", retry_after_s=5) from error


class ReconciliationAcceptance(GatewayResource):
    """Its acceptance."""

    roles: ClassVar[frozenset[Role]] = _FINANCE

    @describes(
        Description(
            "Accept an invoice: unknown calls are settled or released, and what is left is booked as corrections. Once; again does nothing",
            ReconciliationOut,
            body=AcceptIn,
            body_required=False,
            errors=(errors.InvalidParameter, *_ERRORS),
        )
    )
    def post(self, reconciliation_id: str) -> Response:
        """Book it."""
        asked = read_body(AcceptIn, request) if request.content_length else AcceptIn()
        try:
            desk = self.parts.ledger.reconciliations
            return json_response(reconciliation_out(desk.accept(reconciliation_id, by=g.key.name, include_missing=asked.include_missing)))
        except UnknownReconciliation as error:
            raise NotFound(f"There is no reconciliation {reconciliation_id!r}; GET /v1/costs/reconciliations lists them.") from error
        except (Unavailable, OperationalError) as error:
            raise LedgerUnavailable(f"It can't be booked right now: {error}. Accept it again.", retry_after_s=5) from error


class BadFile(InvalidParameter):
    """A file that can't be read; `line` and `column` say where."""

    def __init__(self, error: BadInvoice) -> None:
        super().__init__("file", f"file: {error}.")
        place = {"line": error.line, "column": error.column}
        self.members = {**self.members, **{name: value for name, value in place.items() if value is not None}}
