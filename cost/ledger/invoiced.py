"""The ledger's side of a reconciliation: what was settled, and what may have been billed, on the days of an invoice."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, func, select

from cost.invoices import InvoiceKey
from cost.ledger.cursors import DAY_US, day_end_us, day_start_us
from cost.ledger.reconciliation_schema import reconciliation_lines
from cost.ledger.schema import IS_OPEN, attempt_lines, attempts, corrections, rollups, unit_counters
from cost.ledger.times import day_of
from cost.money import FREE, Money
from cost.price_sheets import ANY_REGION, PriceBook
from cost.reconciliation import LedgerSums, UnknownAttempt

_UNITS, _NANOS = func.sum(attempt_lines.c.units), func.sum(attempt_lines.c.price_nanos)
_LINES = attempts.join(attempt_lines, attempt_lines.c.attempt_id == attempts.c.id).join(
    unit_counters, unit_counters.c.id == attempt_lines.c.counter_id
)


class InvoicedDays:
    """From the first to the last day of which an invoice has rows, by provider."""

    def __init__(self, keys: Iterable[InvoiceKey], prices: PriceBook) -> None:
        days: dict[str, set[str]] = defaultdict(set)
        for key in keys:
            days[key.provider].add(key.day)
        self._days = {provider: (min(found), max(found)) for provider, found in days.items()}
        self._home = {provider: sheet.region for provider, sheet in prices.items()}

    def settled(self, connection: Connection) -> dict[InvoiceKey, LedgerSums]:
        """What the ledger has settled on those days, with corrections."""
        found: dict[InvoiceKey, LedgerSums] = {}
        for provider in self._days:
            regions = self._regions(connection, provider)
            # From the daily sums where one region is all there is: a month of calls need not be read.
            rows = self._by_day(connection, provider) if len(regions) < 2 else self._by_region(connection, provider)
            only = next(iter(regions), self._home.get(provider, ANY_REGION))
            for day, sku, region, units, nanos in rows:
                key = InvoiceKey(provider, day, sku, self._region(provider, region or only))
                if units or nanos:
                    before = found.get(key, LedgerSums())
                    found[key] = LedgerSums(before.units + int(units), before.amount + Money(int(nanos)))
        return found

    def unknown(self, connection: Connection) -> list[UnknownAttempt]:
        """Calls of those days that may have been billed, in order of time."""
        columns = (attempts.c.id, attempts.c.reserved_at_us, attempts.c.provider, attempt_lines.c.sku, unit_counters.c.region)
        query = select(*columns, attempt_lines.c.units, attempt_lines.c.price_nanos).select_from(_LINES)
        query = query.where(IS_OPEN, attempts.c.state == "unknown").order_by(attempts.c.reserved_at_us, attempts.c.id)
        lines: dict[str, dict[InvoiceKey, tuple[int, Money]]] = defaultdict(dict)
        for id_, at_us, provider, sku, region, units, nanos in connection.execute(query):
            day = day_of(at_us)
            first, last = self._days.get(provider, ("", ""))
            if first <= day <= last:
                key = InvoiceKey(provider, day, sku, self._region(provider, region))
                before = lines[id_].get(key, (0, FREE))
                lines[id_][key] = (before[0] + units, before[1] + Money(nanos))
        return [UnknownAttempt(id_, found) for id_, found in lines.items()]

    def _region(self, provider: str, region: str) -> str:
        """A provider whose prices know no regions has one."""
        return ANY_REGION if self._home.get(provider) == ANY_REGION else region

    def _regions(self, connection: Connection, provider: str) -> set[str]:
        query = select(unit_counters.c.region).where(unit_counters.c.provider == provider).distinct()
        return {self._region(provider, region) for region in connection.execute(query).scalars()}

    def _by_day(self, connection: Connection, provider: str) -> Iterable[Any]:
        sums = (func.sum(rollups.c.billed_units), func.sum(rollups.c.cost_nanos))
        mine = (rollups.c.provider == provider, rollups.c.day.between(*self._days[provider]))
        for day, sku, units, nanos in connection.execute(
            select(rollups.c.day, rollups.c.sku, *sums).where(*mine).group_by(rollups.c.day, rollups.c.sku)
        ):
            yield day, sku, "", units, nanos

    def _by_region(self, connection: Connection, provider: str) -> Iterable[Any]:
        first, last = self._days[provider]
        bucket = (attempts.c.reserved_at_us // DAY_US).label("bucket")
        times = (attempts.c.reserved_at_us >= day_start_us(first), attempts.c.reserved_at_us < day_end_us(last))
        settled = (attempts.c.provider == provider, attempts.c.state == "settled", *times)
        groups = (bucket, attempt_lines.c.sku, unit_counters.c.region)
        query = select(*groups, _UNITS, _NANOS).select_from(_LINES).where(*settled).group_by(*groups)
        for number, sku, region, units, nanos in connection.execute(query):
            yield day_of(int(number) * DAY_US), sku, region, units, nanos
        yield from self._differences(connection, settled)
        yield from self._corrected(connection, provider)

    @staticmethod
    def _differences(connection: Connection, settled: tuple[Any, ...]) -> Iterable[Any]:
        """By how much bills differed from their prices, at their first lines."""
        columns = (attempts.c.reserved_at_us, attempt_lines.c.sku, unit_counters.c.region, attempts.c.cost_nanos, attempts.c.price_nanos)
        query = (
            select(*columns).select_from(_LINES).where(*settled, attempt_lines.c.line == 0, attempts.c.cost_nanos != attempts.c.price_nanos)
        )
        for at_us, sku, region, cost, price in connection.execute(query):
            yield day_of(at_us), sku, region, 0, cost - price

    def _corrected(self, connection: Connection, provider: str) -> Iterable[Any]:
        """Corrections: of a call in its region, of an invoice's line in that line's."""
        of_call = select(unit_counters.c.region).select_from(
            attempt_lines.join(unit_counters, unit_counters.c.id == attempt_lines.c.counter_id)
        )
        of_call = of_call.where(attempt_lines.c.attempt_id == corrections.c.attempt_id, attempt_lines.c.sku == corrections.c.sku).limit(1)
        of_invoice = select(reconciliation_lines.c.region).where(reconciliation_lines.c.correction_id == corrections.c.id).limit(1)
        region = func.coalesce(of_call.scalar_subquery(), of_invoice.scalar_subquery())
        query = select(corrections.c.day, corrections.c.sku, region, corrections.c.units, corrections.c.amount_nanos)
        yield from connection.execute(query.where(corrections.c.provider == provider, corrections.c.day.between(*self._days[provider])))
