"""What the page of costs shows, worked out of the daily sums: one object a part of the page."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date

import sqlalchemy as sa

from cost.ledger import CostFilter, CostRow, CostSums, cost_rows
from cost.ledger.reports import total
from cost.money import FREE, Money
from cost.price_sheets import PriceBook
from gateway.web.addresses import address_of, narrowed
from gateway.web.charts import Bars, fold, stacked_bars
from gateway.web.slots import slots_of

ROWS_MAX = 40
"""Rows of a table on a page; the file has all."""

ROWS_PAGE = "/costs/rows"


@dataclass(frozen=True, slots=True)
class TableRow:
    """One group and its sums. `address` leads to its rows; "" where it stands for several groups."""

    name: str
    sums: CostSums
    address: str


@dataclass(frozen=True, slots=True)
class Table:
    """Groups, the dearest first; `word` is what they are grouped by, `hidden` how many stand together in the last row."""

    word: str
    rows: list[TableRow]
    hidden: int


@dataclass(frozen=True, slots=True)
class Daily:
    """Spend by day and provider: drawn, and as a table for who can't or does not want to see the drawing."""

    bars: Bars
    days: list[tuple[str, str, list[tuple[Money, str]], Money]]
    unit: str


@dataclass(frozen=True, slots=True)
class UnitCost:
    """What 1,000 units of a SKU have cost, beside what the price list says; None where nothing was billed or listed."""

    provider: str
    sku: str
    sums: CostSums
    per_1000: Money | None
    list_per_1000: Money | None
    address: str

    @property
    def saved_percent(self) -> int | None:
        """How far below the list, in percent, rounded down; negative above it."""
        if self.per_1000 is None or not self.list_per_1000:
            return None
        return (self.list_per_1000 - self.per_1000).nanos * 100 // self.list_per_1000.nanos


def daily(connection: sa.Connection, where: CostFilter) -> Daily:
    """By day; by month or year where the days are more than can be drawn."""
    rows = list(cost_rows(connection, where, ("day", "provider")))
    slots = slots_of(where.first, where.last, (row.keys["day"] for row in rows))
    by_provider: dict[str, Money] = defaultdict(lambda: FREE)
    for row in rows:
        by_provider[row.keys["provider"]] += row.cost
    paid = sorted((name for name, amount in by_provider.items() if amount), key=lambda name: (-by_provider[name].nanos, name))
    looks = fold(paid)
    series = list(dict.fromkeys(looks.values()))
    amounts: dict[tuple[str, str], Money] = defaultdict(lambda: FREE)
    for row in rows:
        if row.keys["provider"] in looks:
            amounts[slots.of(row.keys["day"]), looks[row.keys["provider"]]] += row.cost

    def address(slot: str, name: str = "") -> str:
        first, last = slots.days(slot)
        within = replace(where, first=first, last=last)
        return address_of(ROWS_PAGE, replace(within, provider=name) if name in looks else within, only="paid")

    listed = [
        (slot, address(slot), [(amounts[slot, name], address(slot, name)) for name in series], _sum(amounts[slot, name] for name in series))
        for slot in slots
    ]
    return Daily(stacked_bars(list(slots), series, amounts, address), listed, slots.unit)


def table(connection: sa.Connection, where: CostFilter, word: str) -> Table:
    """The groups of one word: the dearest, then the busiest first."""
    groups = sorted(
        cost_rows(connection, where, (word,)), key=lambda row: (-row.cost.nanos, -row.avoided.nanos, -row.calls, row.keys[word])
    )
    shown, rest = groups[:ROWS_MAX], groups[ROWS_MAX:]
    rows = [TableRow(row.keys[word], row, address_of(ROWS_PAGE, narrowed(where, row.keys))) for row in shown]
    if rest:
        rows.append(TableRow(f"{len(rest)} more", total(rest), ""))
    return Table(word, rows, len(rest))


def unit_costs(connection: sa.Connection, where: CostFilter, prices: PriceBook, today: date) -> list[UnitCost]:
    """Every SKU that somebody bills, beside its list price today."""
    return [
        UnitCost(
            row.keys["provider"],
            row.keys["sku"],
            row,
            per_1000(row),
            _list_per_1000(prices, row.keys["provider"], row.keys["sku"], today),
            address_of(ROWS_PAGE, narrowed(where, row.keys)),
        )
        for row in cost_rows(connection, where, ("provider", "sku"))
        if not _is_imputed(prices, row)
    ]


def _is_imputed(prices: PriceBook, row: CostRow) -> bool:
    sheet = prices.get(row.keys["provider"])
    return sheet is not None and sheet.imputed


def per_1000(sums: CostSums) -> Money | None:
    """What 1,000 billed units have cost, to the nearest nano-dollar, halves up."""
    units = sums.billed_units
    return Money((sums.cost.nanos * 2000 + units) // (2 * units)) if units > 0 else None


def _list_per_1000(prices: PriceBook, provider: str, sku: str, today: date) -> Money | None:
    sheet = prices.get(provider)
    price = sheet.price_of(sku, today) if sheet else None
    return price.list_unit_price * 1000 if price else None


def _sum(amounts: Iterable[Money]) -> Money:
    return sum(amounts, FREE)


def sum_of(rows: Sequence[TableRow]) -> CostSums:
    """Of a table."""
    return total(row.sums for row in rows)
