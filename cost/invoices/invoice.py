"""Reads an invoice file and adds its rows up by provider, day, SKU and region."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from typing import BinaryIO, NamedTuple

from cost.invoices.forms import Cells, Form, Format, Said, form_of, plain
from cost.invoices.tables import BadInvoice, rows_of
from cost.money import NANOS_PER_USD, Money
from cost.price_sheets import ANY_REGION, PriceBook

_KEYS_MAX = 100_000


class InvoiceKey(NamedTuple):
    """What rows are added up by. The SKU is the price sheet's name for it or, of one that the sheet does not know, the invoice's."""

    provider: str
    day: str
    sku: str
    region: str


@dataclass(frozen=True, slots=True)
class InvoiceSums:
    """What an invoice says of one key.

    Attributes:
        free_units: of the units, those that cost nothing.
        credit: what credits took off; zero or negative, and part of `amount`.
    """

    units: int
    amount: Money
    free_units: int = 0
    credit: Money = Money(0)


@dataclass(frozen=True, slots=True)
class Invoice:
    """A file, read.

    Attributes:
        lines: by key, of the services that have a price sheet.
        tax: beside the lines.
        other_rows: rows of other services, which were passed over.
    """

    format: Format
    lines: Mapping[InvoiceKey, InvoiceSums]
    rows: int
    other_rows: int
    tax: Money


@dataclass(slots=True)
class _Added:
    units: Decimal = Decimal(0)
    cost: Decimal = Decimal(0)
    free_units: Decimal = Decimal(0)
    credit: Decimal = Decimal(0)


@dataclass(slots=True)
class _Reading:
    """What has been read so far."""

    names: "ServiceNames"
    lines: dict[InvoiceKey, _Added] = field(default_factory=dict)
    rows: int = 0
    other_rows: int = 0
    tax: Decimal = Decimal(0)

    def add(self, said: Said) -> None:
        """Add one row."""
        self.rows += 1
        provider = self.names.provider_of(said.service)
        if provider is None:
            self.other_rows += 1
        elif said.kind == "tax":
            self.tax += said.cost
        else:
            key = InvoiceKey(provider, said.day, self.names.sku_of(provider, said.sku_texts), self.names.region_of(provider, said.region))
            added = self.lines.setdefault(key, _Added())
            added.units += said.units
            added.cost += said.cost + said.credit
            added.credit += said.credit + (said.cost if said.kind == "credit" else 0)
            if said.units and not said.cost + said.credit:
                added.free_units += said.units


def read_invoice(file: BinaryIO, prices: PriceBook) -> Invoice:
    """Read a file, row by row; only its sums stay in memory.

    Args:
        file: at its beginning; it can seek.
        prices: whose services are looked for, by the name that a sheet gives its `service`.

    Raises:
        BadInvoice: the form is not known, a line can't be read, or there is no row of a service that has a price sheet.
    """
    reading = _Reading(ServiceNames(prices))
    form: Form | None = None
    columns: dict[str, str] = {}
    for line, row in rows_of(file):
        if form is None or not row.keys() <= set(columns.values()):
            columns = {plain(name): name for name in (*columns.values(), *row)}
            form = form or form_of(list(row))
        reading.add(form.read(Cells(row, columns, line)))
        if len(reading.lines) > _KEYS_MAX:
            raise BadInvoice(f"has more than {_KEYS_MAX} days, SKUs and regions", line=line)
    if form is None:
        raise BadInvoice("has no rows")
    if not reading.lines:
        wanted = ", ".join(sorted(sheet.service or provider for provider, sheet in prices.items() if not sheet.imputed))
        raise BadInvoice(f"none of its {reading.rows} rows is of {wanted}")
    lines = {key: _sums(added) for key, added in reading.lines.items()}
    return Invoice(form.name, lines, reading.rows, reading.other_rows, _money(reading.tax))


class ServiceNames:
    """Which of our providers and SKUs an invoice means: texts are compared by their letters and digits."""

    def __init__(self, prices: PriceBook) -> None:
        billed = {provider: sheet for provider, sheet in prices.items() if not sheet.imputed}
        self._services = {plain(name): provider for provider, sheet in billed.items() for name in (provider, sheet.service) if name}
        self._regions = {provider: sheet.region for provider, sheet in billed.items()}
        self._skus = {
            provider: sorted({price.sku for price in sheet.prices}, key=lambda sku: (-len(sku), sku)) for provider, sheet in billed.items()
        }

    def provider_of(self, service: str) -> str | None:
        """Whose service it is, or None."""
        return self._services.get(plain(service))

    def region_of(self, provider: str, said: str) -> str:
        """The region that a row says, or where this deployment calls it; a provider whose prices know no regions has one."""
        home = self._regions.get(provider, ANY_REGION)
        return home if home == ANY_REGION else said or home

    def sku_of(self, provider: str, texts: Iterable[str]) -> str:
        """The longest SKU that the first telling text names; otherwise the text itself."""
        said = [text for text in texts if text]
        for text in said:
            for sku in self._skus.get(provider, ()):
                if plain(sku) in plain(text):
                    return sku
        return (said or ["?"])[0][:128]


def _sums(added: _Added) -> InvoiceSums:
    units, free = (int(number.to_integral_value(ROUND_HALF_EVEN)) for number in (added.units, added.free_units))
    return InvoiceSums(units, _money(added.cost), free, _money(added.credit))


def _money(usd: Decimal) -> Money:
    """To the nano-dollar: rows are added up before they are rounded."""
    return Money(int((usd * NANOS_PER_USD).to_integral_value(ROUND_HALF_EVEN)))
