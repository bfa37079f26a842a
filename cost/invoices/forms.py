"""What a row of an invoice says, in the words of each cloud.

Columns are compared by their letters and digits alone, so `lineItem/UsageType` (Cost and Usage Report), `line_item_usage_type` (2.0, and
Parquet) and `LineItemUsageType` are one.

Source: https://docs.aws.amazon.com/cur/latest/userguide/data-dictionary.html,
https://docs.aws.amazon.com/cur/latest/userguide/table-dictionary-cur2.html,
https://cloud.google.com/billing/docs/how-to/export-data-bigquery-tables/standard-usage,
https://focus.finops.org/focus-specification/v1-2/
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from cost.invoices.tables import BadInvoice

Format = Literal["aws_cur", "google", "focus"]
Kind = Literal["usage", "credit", "tax", "other"]

_NUMBER_MAX = Decimal(10) ** 12
_AWS_REGIONS = {
    "USE1": "us-east-1", "USE2": "us-east-2", "USW1": "us-west-1", "USW2": "us-west-2", "CAN1": "ca-central-1", "EU": "eu-west-1",
    "EUW1": "eu-west-1", "EUW2": "eu-west-2", "EUW3": "eu-west-3", "EUC1": "eu-central-1", "APN1": "ap-northeast-1",
    "APN2": "ap-northeast-2", "APS1": "ap-southeast-1", "APS2": "ap-southeast-2", "APS3": "ap-south-1", "SAE1": "sa-east-1",
}  # fmt: skip
"""What a usage type begins with, where no column names the region."""


@dataclass(frozen=True, slots=True)
class Said:
    """One row.

    Attributes:
        day: the UTC day in which the usage began, as 2026-11-22.
        service: the service's name or code; `sku_texts` what may name the SKU, the best first.
        region: "" where the row names none.
        units: of usage; 0 for everything else.
        cost: in US dollars, credits of the row apart.
        credit: 0, or what the row itself takes off, negative.
    """

    day: str
    service: str
    sku_texts: tuple[str, ...]
    region: str
    units: Decimal
    cost: Decimal
    credit: Decimal
    kind: Kind


class Cells:
    """A row's cells, by plain names. Every complaint names its line and column."""

    def __init__(self, row: Mapping[str, Any], columns: Mapping[str, str], line: int) -> None:
        self._row = row
        self._columns = columns
        self._line = line

    def text(self, *names: str) -> str:
        """The first of these columns that says something; "" where none does."""
        for name in names:
            value = self._row.get(self._columns.get(plain(name), ""))
            if value not in (None, ""):
                return str(value).strip()
        return ""

    def value(self, name: str) -> Any:
        """A cell as the file holds it."""
        return self._row.get(self._columns.get(plain(name), ""))

    def number(self, *names: str, default: str | None = None) -> Decimal:
        """A decimal number.

        Raises:
            BadInvoice: there is none, or it is no number.
        """
        text = self.text(*names)
        if not text and default is not None:
            return Decimal(default)
        try:
            number = Decimal(text)
        except InvalidOperation:
            raise self.bad(f"{text[:80]!r} is no number", *names) from None
        if not number.is_finite() or abs(number) > _NUMBER_MAX:
            raise self.bad(f"{text[:80]!r} is no number of units or dollars", *names)
        return number

    def day(self, *names: str) -> str:
        """The UTC day of an instant.

        Raises:
            BadInvoice: there is none, or it is no time.
        """
        text = self.text(*names)
        iso = text.removesuffix(" UTC").replace("Z", "+00:00")
        try:
            instant = datetime.fromisoformat(iso)
        except ValueError:
            raise self.bad(f"{text[:80]!r} is no time such as 2026-11-22T00:00:00Z", *names) from None
        return (instant if instant.tzinfo is None else instant.astimezone(UTC)).date().isoformat()

    def check_currency(self, *names: str) -> None:
        """Refuse amounts that are no dollars.

        Raises:
            BadInvoice: another currency.
        """
        currency = self.text(*names)
        if currency not in ("", "USD"):
            raise self.bad(f"{currency!r} is not USD: the ledger is in US dollars, and converts nothing", *names)

    def bad(self, problem: str, *names: str) -> BadInvoice:
        """A complaint about a cell."""
        column = next((self._columns[plain(name)] for name in names if plain(name) in self._columns), names[0])
        return BadInvoice(problem, line=self._line, column=column)


def plain(name: str) -> str:
    """A name's letters and digits."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _aws(cells: Cells) -> Said:
    cells.check_currency("line_item_currency_code")
    usage_type, kind = cells.text("line_item_usage_type"), cells.text("line_item_line_item_type")
    region = cells.text("product_region_code", "product_region", "product_from_region_code") or _AWS_REGIONS.get(
        usage_type.split("-")[0], ""
    )
    is_usage = kind in ("", "Usage", "DiscountedUsage", "SavingsPlanCoveredUsage")
    kinds: dict[str, Kind] = {"Tax": "tax", "Credit": "credit", "Refund": "credit"}
    return Said(
        day=cells.day("line_item_usage_start_date", "identity_time_interval"),
        service=cells.text("line_item_product_code"),
        sku_texts=(cells.text("line_item_operation"), usage_type, cells.text("line_item_line_item_description")),
        region=region,
        units=cells.number("line_item_usage_amount", default="0") if is_usage else Decimal(0),
        cost=cells.number("line_item_unblended_cost", default="0"),
        credit=Decimal(0),
        kind="usage" if is_usage else kinds.get(kind, "other"),
    )


def _google(cells: Cells) -> Said:
    cells.check_currency("currency")
    kind = cells.text("cost_type")
    return Said(
        day=cells.day("usage_start_time", "usage_start_date"),
        service=cells.text("service.description"),
        sku_texts=(cells.text("sku.description"), cells.text("sku.id")),
        region=cells.text("location.region"),
        units=cells.number("usage.amount", default="0") if kind in ("", "regular") else Decimal(0),
        cost=cells.number("cost"),
        credit=_google_credits(cells),
        kind="usage" if kind in ("", "regular") else "tax" if kind == "tax" else "other",
    )


def _google_credits(cells: Cells) -> Decimal:
    credits_ = cells.value("credits")
    if credits_ in (None, "", []):
        return cells.number("credits.amount", "credits_amount", default="0")
    try:
        found = json.loads(credits_, parse_float=Decimal, parse_int=Decimal) if isinstance(credits_, str) else credits_
        return sum((Decimal(str(credit.get("amount") or 0)) for credit in found), Decimal(0))
    except (ValueError, AttributeError, TypeError, InvalidOperation):
        raise cells.bad(f"{str(credits_)[:80]!r} are no credits", "credits") from None


def _focus(cells: Cells) -> Said:
    cells.check_currency("BillingCurrency")
    kind = cells.text("ChargeCategory")
    kinds: dict[str, Kind] = {"Usage": "usage", "Tax": "tax", "Credit": "credit", "Adjustment": "usage"}
    return Said(
        day=cells.day("ChargePeriodStart"),
        service=cells.text("ServiceName"),
        sku_texts=(cells.text("SkuId"), cells.text("SkuMeter"), cells.text("x_SkuDescription"), cells.text("ChargeDescription")),
        region=cells.text("RegionId"),
        units=cells.number("PricingQuantity", "ConsumedQuantity", default="0") if kind == "Usage" else Decimal(0),
        cost=cells.number("BilledCost"),
        credit=Decimal(0),
        kind=kinds.get(kind, "other"),
    )


@dataclass(frozen=True, slots=True)
class Form:
    """One cloud's file.

    Attributes:
        needed: columns without which it is not this form; of several names any does.
    """

    name: Format
    needed: tuple[tuple[str, ...], ...]
    read: Callable[[Cells], Said]


FORMS = (
    Form("focus", (("BilledCost",), ("ChargePeriodStart",), ("ServiceName",), ("ChargeCategory",)), _focus),
    Form(
        "aws_cur",
        (("line_item_usage_start_date",), ("line_item_product_code",), ("line_item_unblended_cost",), ("line_item_usage_amount",)),
        _aws,
    ),
    Form("google", (("service.description",), ("sku.description",), ("usage_start_time", "usage_start_date"), ("cost",)), _google),
)


def form_of(columns: Sequence[str]) -> Form:
    """The form whose columns these are.

    Raises:
        BadInvoice: none; says what is missing from the likeliest.
    """
    have = {plain(column) for column in columns}
    lacking = {form: [names[0] for names in form.needed if not have & set(map(plain, names))] for form in FORMS}
    form = min(FORMS, key=lambda form: len(lacking[form]) / len(form.needed))
    if not lacking[form]:
        return form
    if len(lacking[form]) == len(form.needed):
        raise BadInvoice(
            "is no AWS Cost and Usage Report, no Google Cloud billing export and no FOCUS file: it has none of their columns", line=1
        )
    raise BadInvoice(f"is missing; the other columns are those of {form.name}", line=1, column=lacking[form][0])
