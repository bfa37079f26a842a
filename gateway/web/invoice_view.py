"""An invoice beside the ledger as its page shows it: what differs first, each with its likely cause."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from cost.ledger import CostFilter
from cost.ledger.reconciliations import Reconciliation, finding_facts
from cost.ledger.times import from_us
from cost.money import FREE, Money
from gateway.web.addresses import address_of

FORMS = {"aws_cur": "AWS Cost and Usage Report", "google": "Google Cloud billing export", "focus": "FOCUS"}

CAUSES = {
    "unknown_attempts": "Calls that may have been billed",
    "other_user": "Another user of the account",
    "missing_rows": "Rows the invoice does not have",
    "free_tier": "Free units or a tier",
    "price_changed": "A price changed",
    "rounding": "Rounding",
}


@dataclass(frozen=True, slots=True)
class Cause:
    """A part of a difference, or the sum of such parts."""

    name: str
    units: int
    amount: Money
    details: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One day, SKU and region. `rows` leads to the ledger's side; an amount that a side does not have is None."""

    day: str
    provider: str
    sku: str
    region: str
    invoice_units: int | None
    invoice: Money | None
    ledger_units: int
    ledger: Money
    units: int
    amount: Money
    causes: tuple[Cause, ...]
    rows: str


@dataclass(frozen=True, slots=True)
class InvoiceHead:
    """One of the list: which file, whose, and what became of it."""

    id: str
    file_name: str
    form: str
    rows: int
    other_rows: int
    tax: Money
    created_at: datetime
    created_by: str
    accepted_at: datetime | None
    accepted_by: str | None


@dataclass(frozen=True, slots=True)
class InvoiceView:
    """Everything of one.

    Attributes:
        differing, agreeing: its lines.
        causes: over all lines.
        settle, release: how many unknown calls accepting it settles, and gives back; of an accepted one, none are left.
        now: what the ledger has settled by now; `ledger` of an accepted one is from before it was accepted.
        left: why they still differ, where they do.
        rows: the ledger's rows of its days.
    """

    head: InvoiceHead
    differing: list[Line]
    agreeing: list[Line]
    causes: list[Cause]
    invoice: Money
    ledger: Money
    now: Money
    left: list[Cause]
    settle: int
    release: int
    booked: int
    rows: str

    @property
    def amount(self) -> Money:
        """By how much the invoice is more than what was settled."""
        return self.invoice - self.ledger


def head_of(record: Mapping[str, Any]) -> InvoiceHead:
    """From its row."""
    accepted_us = record["accepted_at_us"]
    return InvoiceHead(
        record["id"],
        record["file_name"],
        FORMS[record["file_format"]],
        record["file_rows"],
        record["other_rows"],
        Money(record["tax_nanos"]),
        from_us(record["created_at_us"]),
        record["created_by"],
        None if accepted_us is None else from_us(accepted_us),
        record["accepted_by"],
    )


def view_of(found: Reconciliation) -> InvoiceView:
    """As it was accepted, or while it is open as it compares now."""
    facts = found.accepted or [finding_facts(finding) for finding in found.comparison.findings]
    lines = [_line(fact) for fact in facts]
    days = sorted({line.day for line in lines})
    providers = {line.provider for line in lines}
    rows = CostFilter(
        first=date.fromisoformat(days[0]),
        last=date.fromisoformat(days[-1]),
        provider=next(iter(providers)) if len(providers) == 1 else None,
    )
    return InvoiceView(
        head=head_of(found.record),
        differing=[line for line in lines if line.causes],
        agreeing=[line for line in lines if not line.causes],
        causes=_together([cause for line in lines for cause in line.causes]),
        invoice=sum((line.invoice or FREE for line in lines), FREE),
        ledger=sum((line.ledger for line in lines), FREE),
        now=sum((finding.ledger.amount for finding in found.comparison.findings), FREE),
        left=_together([cause for finding in found.comparison.findings for cause in _line(finding_facts(finding)).causes]),
        settle=len(found.comparison.settle),
        release=len(found.comparison.release),
        booked=len(found.booked),
        rows=address_of("/costs/rows", rows, only="paid"),
    )


def _line(fact: Mapping[str, Any]) -> Line:
    day = date.fromisoformat(fact["day"])
    return Line(
        fact["day"],
        fact["provider"],
        fact["sku"],
        fact["region"],
        fact["invoice_units"],
        None if fact["invoice_usd"] is None else Money.usd(fact["invoice_usd"]),
        fact["ledger_units"],
        Money.usd(fact["ledger_usd"]),
        fact["variance_units"],
        Money.usd(fact["variance_usd"]),
        tuple(Cause(CAUSES[part["cause"]], part["units"], Money.usd(part["amount_usd"]), (part["detail"],)) for part in fact["causes"]),
        address_of("/costs/rows", CostFilter(first=day, last=day, provider=fact["provider"], sku=fact["sku"]), only="paid"),
    )


def _together(causes: list[Cause]) -> list[Cause]:
    """By name, in the order in which they are looked for."""
    units: dict[str, int] = defaultdict(int)
    amounts: dict[str, Money] = defaultdict(lambda: FREE)
    for cause in causes:
        units[cause.name] += cause.units
        amounts[cause.name] += cause.amount
    return [Cause(name, units[name], amounts[name], ()) for name in CAUSES.values() if name in units]
