"""Reports and their rows in the words of the API, of CSV files and of the console: one place names the columns."""

from cost.ledger import CostEntry, CostSums

AMOUNTS = ("cost", "reserved", "unknown", "imputed", "avoided", "avoided_cache", "avoided_joined", "avoided_in_house")
SUMS = ("calls", "billed_units", *(f"{name}_usd" for name in AMOUNTS))

ENTRY_KEYS = (
    "day",
    "at",
    "kind",
    "provider",
    "sku",
    "region",
    "feature",
    "client",
    "tags",
    "state",
    "reason",
    "units",
    "list_price_usd",
    "request_id",
    "provider_request_id",
    "id",
    "line",
    "price_version",
)
ENTRY_NUMBERS = frozenset({*SUMS, "units", "list_price_usd", "line"})
"""Columns that hold our own numbers: nobody else can write into them."""


def sums_out(sums: CostSums) -> dict[str, int | str]:
    """A row's sums by their columns."""
    amounts = {f"{name}_usd": str(getattr(sums, name)) for name in AMOUNTS}
    return {"calls": sums.calls, "billed_units": sums.billed_units, **amounts}


def entry_out(entry: CostEntry) -> dict[str, object]:
    """A row of the ledger by its columns; `tags` is a mapping."""
    said: dict[str, object] = {name: getattr(entry, name) for name in ENTRY_KEYS if name not in ("at", "list_price_usd")}
    said |= {"at": entry.at.isoformat().replace("+00:00", "Z"), "list_price_usd": str(entry.list_price)}
    return {name: said[name] for name in ENTRY_KEYS} | sums_out(entry)


def entry_cells(entry: CostEntry) -> list[object]:
    """The same as cells of a CSV file, under `ENTRY_KEYS` and `SUMS`."""
    tags = ",".join(f"{name}:{value}" for name, value in entry.tags.items())
    return list((entry_out(entry) | {"tags": tags}).values())
