"""An invoice against the ledger: by day, SKU and region, how they differ in units and money, and what the likely cause is. Pure.

The parts of a difference add up to it exactly. They are told in this order, each explaining what those before it left over:

    unknown_attempts  calls that may have been billed: the invoice counts them, or it does not
    other_user        units that no call of ours accounts for: somebody else uses the account (or a backup was restored)
    missing_rows      units of ours that the invoice does not have: its rows are late, or were not exported
    free_tier         the same units at another price, because free units were counted here and not there, or the other way round
    price_changed     the same units at another price
    rounding          less than a ten-thousandth of a cent, as invoices round
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from cost.invoices import InvoiceKey, InvoiceSums
from cost.money import FREE, Money

Cause = Literal["unknown_attempts", "other_user", "missing_rows", "free_tier", "price_changed", "rounding"]
ROUNDING = Money(1_000)

NOTHING = InvoiceSums(0, FREE)


@dataclass(frozen=True, slots=True)
class LedgerSums:
    """What the ledger has settled of one key, corrections included."""

    units: int = 0
    amount: Money = FREE


@dataclass(frozen=True, slots=True)
class UnknownAttempt:
    """A call that may have been billed: its units and held price by key."""

    id: str
    lines: Mapping[InvoiceKey, tuple[int, Money]]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a difference, and why it is there. Positive where the invoice has more."""

    cause: Cause
    units: int
    amount: Money
    detail: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One key. `invoice` is None where the invoice has no row of it."""

    key: InvoiceKey
    invoice: InvoiceSums | None
    ledger: LedgerSums
    unknown_units: int
    unknown: Money
    parts: tuple[Part, ...]

    @property
    def units(self) -> int:
        """By how many units the invoice has more than the ledger has settled."""
        return (self.invoice or NOTHING).units - self.ledger.units

    @property
    def amount(self) -> Money:
        """By how much."""
        return (self.invoice or NOTHING).amount - self.ledger.amount


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that was compared.

    Attributes:
        findings: every key of the invoice, and of the ledger between the invoice's first and last day, in order.
        settle, release: the unknown attempts, by whether the invoice counts them.
    """

    findings: tuple[Finding, ...]
    settle: tuple[str, ...]
    release: tuple[str, ...]


def compare(
    invoice: Mapping[InvoiceKey, InvoiceSums],
    ledger: Mapping[InvoiceKey, LedgerSums],
    unknown: Iterable[UnknownAttempt],
    list_price: Callable[[InvoiceKey], Money | None],
) -> Comparison:
    """Find what differs, and which unknown attempts the invoice counts.

    Args:
        invoice: by key.
        ledger: by key, from a provider's first to its last day on the invoice.
        unknown: calls of those days, in order of time. One of a day without a row on the invoice, but not without calls in the ledger,
            stays as it is: that day is missing.
        list_price: of a unit of a key's SKU, free units and volume apart; None where it has none.
    """
    told = {(key.provider, key.day) for key in invoice}
    missing = {(key.provider, key.day) for key, sums in ledger.items() if sums.units > 0} - told
    unknown = [attempt for attempt in unknown if not any((key.provider, key.day) in missing for key in attempt.lines)]
    left = defaultdict(int, {key: sums.units - ledger.get(key, LedgerSums()).units for key, sums in invoice.items()})
    settle = []
    for attempt in unknown:
        if all(left[key] >= units for key, (units, _) in attempt.lines.items()):
            settle.append(attempt.id)
            for key, (units, _) in attempt.lines.items():
                left[key] -= units
    counted = set(settle)
    by_key: dict[InvoiceKey, list[tuple[bool, int, Money]]] = defaultdict(list)
    for attempt in unknown:
        for key, (units, price) in attempt.lines.items():
            by_key[key].append((attempt.id in counted, units, price))
    findings = []
    for key in sorted({*invoice, *ledger, *by_key}):
        held = by_key.get(key, [])
        here = ledger.get(key, LedgerSums())
        parts = tuple(_parts(invoice.get(key), here, held, list_price(key)))
        finding = Finding(key, invoice.get(key), here, sum(units for _, units, _ in held), sum((price for *_, price in held), FREE), parts)
        if finding.invoice or here != LedgerSums() or held:
            findings.append(finding)
    return Comparison(tuple(findings), tuple(settle), tuple(attempt.id for attempt in unknown if attempt.id not in counted))


def _parts(
    invoice: InvoiceSums | None, ledger: LedgerSums, held: list[tuple[bool, int, Money]], list_price: Money | None
) -> Iterable[Part]:
    there = invoice or NOTHING
    billed_units = sum(units for counted, units, _ in held if counted)
    billed = sum((price for counted, _, price in held if counted), FREE)
    if held:
        calls = sum(counted for counted, *_ in held)
        yield Part("unknown_attempts", billed_units, billed, f"the invoice counts {calls} of {len(held)} that may have been billed")
    units_left, amount_left = there.units - ledger.units - billed_units, there.amount - ledger.amount - billed
    if units_left > 0:
        amount = Money(there.amount.nanos * units_left // there.units)
        amount_left -= amount
        yield Part("other_user", units_left, amount, f"no call of this gateway accounts for {_units(units_left)}")
    elif units_left < 0:
        base_units, base = ledger.units + billed_units, ledger.amount + billed
        amount = base * -1 if invoice is None or base_units <= 0 else Money(base.nanos * units_left // base_units)
        amount_left -= amount
        yield Part("missing_rows", units_left, amount, _missing(invoice, -units_left))
    if amount_left:
        yield _price_part(there, ledger.units + billed_units, ledger.amount + billed, amount_left, list_price)


def _missing(invoice: InvoiceSums | None, units: int) -> str:
    if invoice is None:
        return f"the invoice has no row of {_units(units)}"
    return f"the invoice has {_units(units)} fewer: rows that are late, or were not exported"


def _units(number: int) -> str:
    return f"{number:,} unit{'' if number == 1 else 's'}"


def _price_part(there: InvoiceSums, units: int, booked: Money, amount: Money, list_price: Money | None) -> Part:
    """Why the same units cost another amount."""
    if abs(amount.nanos) <= ROUNDING.nanos:
        return Part("rounding", 0, amount, "as invoices round")
    paid_units = there.units - there.free_units
    if amount < FREE and (there.free_units or there.credit < FREE or not there.amount):
        what = (
            f"{there.free_units} units are free on the invoice" if there.free_units else f"credits of {there.credit} USD are on the invoice"
        )
        return Part("free_tier", 0, amount, f"{what}, and were counted as paid here")
    if amount > FREE and list_price and booked < list_price * units and there.amount == list_price * there.units:
        return Part("free_tier", 0, amount, "units that were counted as free, or in a cheaper tier, are billed at the list price")
    each = f"{_each(booked, units)} USD a unit here, {_each(there.amount, paid_units)} on the invoice"
    return Part("price_changed", 0, amount, each)


def _each(amount: Money, units: int) -> str:
    return str(Money(amount.nanos // units)) if units > 0 else "nothing"
