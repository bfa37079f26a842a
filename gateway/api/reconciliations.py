"""`/v1/costs/reconciliations`: a provider's invoice against the ledger, and its acceptance."""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from flask import Response, g, request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import OperationalError

from cost.invoices import BadInvoice, read_invoice
from cost.ledger import LedgerUnavailable as Unavailable
from cost.ledger.reconciliations import Reconciliation, Source, UnknownReconciliation, finding_facts
from cost.ledger.times import from_us
from cost.money import FREE, Money
from gateway import errors
from gateway.api.resource import Description, GatewayResource, describes, json_response, read_body, read_query
from gateway.errors import InvalidParameter, LedgerUnavailable, NotFound
from gateway.keys import Role
from gateway.uploads import uploaded
from gateway.wire.answer import Usd

_FINANCE: frozenset[Role] = frozenset({"finance"})
_ERRORS = (errors.NotFound, errors.LedgerUnavailable)


class UploadQuery(BaseModel):
    """Beside the file."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field("", max_length=255, description="The file's name, where no form gives it.")


class CauseOut(BaseModel):
    """A part of a difference, and why it is there."""

    cause: Annotated[
        Literal["unknown_attempts", "other_user", "missing_rows", "free_tier", "price_changed", "rounding"],
        Field(
            description="unknown_attempts: calls that may have been billed. other_user: billed, and no call of this gateway. "
            "missing_rows: in the ledger, not in the invoice. free_tier, price_changed, rounding: the same units, "
            "another price."
        ),
    ]
    units: Annotated[int, Field(description="Of the difference.")]
    amount_usd: Annotated[Usd, Field(description="Of the difference; positive where the invoice has more.")]
    detail: Annotated[str, Field(description="In words.")]


class FindingOut(BaseModel):
    """One day, SKU and region. Differences are positive where the invoice has more; the causes add up to them."""

    provider: str
    day: Annotated[str, Field(description="The UTC day.")]
    sku: str
    region: str
    invoice_units: Annotated[int | None, Field(description="Missing where the invoice has no such row.")] = None
    invoice_usd: Annotated[Usd | None, Field(description="What the invoice charges, in US dollars.")] = None
    ledger_units: Annotated[int, Field(description="Settled in the ledger.")]
    ledger_usd: Annotated[Usd, Field(description="What the ledger has settled, in US dollars.")]
    unknown_units: Annotated[int, Field(description="Of calls that may have been billed.")]
    unknown_usd: Annotated[Usd, Field(description="Their price, in US dollars.")]
    variance_units: Annotated[int, Field(description="Invoice less ledger.")]
    variance_usd: Annotated[Usd, Field(description="Invoice less ledger, in US dollars.")]
    causes: Annotated[list[CauseOut], Field(description="Why; they add up to the difference.")]
    correction_id: Annotated[str | None, Field(description="What was booked for it; see /v1/costs/entries.")] = None


class RecordOut(BaseModel):
    """A reconciliation: who sent which file, and who accepted it."""

    id: str
    state: Annotated[Literal["open", "accepted"], Field(description="open: compared. accepted: booked, once for all.")]
    file_name: Annotated[str, Field(description="As it was sent.")]
    format: Annotated[Literal["aws_cur", "google", "focus"], Field(description="As it was recognised.")]
    created_at: datetime
    created_by: str
    accepted_at: Annotated[datetime | None, Field(description="When it was accepted.")] = None
    accepted_by: Annotated[str | None, Field(description="The name of the key that accepted it.")] = None
    rows: Annotated[int, Field(description="Rows of the file that were compared.")]
    other_rows: Annotated[int, Field(description="Rows of services that have no price sheet; passed over.")]
    tax_usd: Annotated[Usd, Field(description="Beside the lines; not compared.")]


class ReconciliationsOut(BaseModel):
    """All of them, the newest first."""

    reconciliations: Annotated[list[RecordOut], Field(description="Without their findings.")]


class ReconciliationOut(RecordOut):
    """A reconciliation with what was found: now, and when it was accepted."""

    variance_units: Annotated[int, Field(description="Invoice less ledger, over all findings.")]
    variance_usd: Annotated[Usd, Field(description="Invoice less ledger, over all findings, in US dollars.")]
    findings: Annotated[list[FindingOut], Field(description="Against the ledger as it is now.")]
    accepted_findings: Annotated[list[FindingOut], Field(description="When it was accepted.")] = []


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
        return json_response(ReconciliationsOut(reconciliations=[RecordOut.model_validate(_record(record)) for record in records]))

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
            raise NotFound(f"There is no reconciliation {reconciliation_id!r}.") from error
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
            raise NotFound(f"There is no reconciliation {reconciliation_id!r}.") from error
        except (Unavailable, OperationalError) as error:
            raise LedgerUnavailable(f"It can't be booked right now: {error}. Accept it again.", retry_after_s=5) from error


class BadFile(InvalidParameter):
    """A file that can't be read; `line` and `column` say where."""

    def __init__(self, error: BadInvoice) -> None:
        super().__init__("file", f"file: {error}.")
        place = {"line": error.line, "column": error.column}
        self.members = {**self.members, **{name: value for name, value in place.items() if value is not None}}


def reconciliation_out(found: Reconciliation) -> ReconciliationOut:
    """A reconciliation in the words of the API, the command line and the pages."""
    findings = [finding_facts(finding) for finding in found.comparison.findings]
    for facts in (*findings, *found.accepted):
        booked = found.booked.get(tuple(facts[name] for name in ("provider", "day", "sku", "region")))  # type: ignore[call-overload]
        facts["correction_id"] = booked
    return ReconciliationOut.model_validate(
        {
            **_record(found.record),
            "variance_units": sum(finding.units for finding in found.comparison.findings),
            "variance_usd": str(sum((finding.amount for finding in found.comparison.findings), FREE)),
            "findings": findings,
            "accepted_findings": found.accepted if found.is_accepted else [],
        }
    )


def _record(record: dict[str, Any]) -> dict[str, Any]:
    accepted_at = record["accepted_at_us"]
    return {
        "id": record["id"],
        "state": "open" if accepted_at is None else "accepted",
        "file_name": record["file_name"],
        "format": record["file_format"],
        "created_at": from_us(record["created_at_us"]),
        "created_by": record["created_by"],
        "accepted_at": None if accepted_at is None else from_us(accepted_at),
        "accepted_by": record["accepted_by"],
        "rows": record["file_rows"],
        "other_rows": record["other_rows"],
        "tax_usd": str(Money(record["tax_nanos"])),
    }
