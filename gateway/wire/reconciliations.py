"""Reconciliations as JSON."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from cost.ledger.reconciliations import Reconciliation, finding_facts
from cost.ledger.times import from_us
from cost.money import FREE, Money
from gateway.wire.answer import Usd


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


class ReconciliationOut(RecordOut):
    """A reconciliation with what was found: now, and when it was accepted."""

    variance_units: Annotated[int, Field(description="Invoice less ledger, over all findings.")]
    variance_usd: Annotated[Usd, Field(description="Invoice less ledger, over all findings, in US dollars.")]
    findings: Annotated[list[FindingOut], Field(description="Against the ledger as it is now.")]
    accepted_findings: Annotated[list[FindingOut], Field(description="When it was accepted.")] = []


def reconciliation_out(found: Reconciliation) -> ReconciliationOut:
    """A reconciliation in the words of the API, the command line and the pages."""
    findings = [finding_facts(finding) for finding in found.comparison.findings]
    for facts in (*findings, *found.accepted):
        booked = found.booked.get(tuple(facts[name] for name in ("provider", "day", "sku", "region")))  # type: ignore[call-overload]
        facts["correction_id"] = booked
    return ReconciliationOut.model_validate(
        {
            **record_facts(found.record),
            "variance_units": sum(finding.units for finding in found.comparison.findings),
            "variance_usd": str(sum((finding.amount for finding in found.comparison.findings), FREE)),
            "findings": findings,
            "accepted_findings": found.accepted if found.is_accepted else [],
        }
    )


def record_facts(record: dict[str, Any]) -> dict[str, Any]:
    """What `RecordOut` tells."""
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
