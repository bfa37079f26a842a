"""An invoice to reconcile: what Amazon would have exported for the simulated calls, with two things that finance has to find out.

Of the calls that may have been billed some were, and somebody else has used the account one day.
"""

import csv
from datetime import date, timedelta
from pathlib import Path

from cost.ledger import CostFilter, cost_rows
from cost.money import Money
from gateway.database import prepare_database

_COLUMNS = (
    "identity/LineItemId",
    "bill/BillingPeriodStartDate",
    "lineItem/LineItemType",
    "lineItem/UsageStartDate",
    "lineItem/ProductCode",
    "lineItem/Operation",
    "lineItem/UsageType",
    "lineItem/UsageAmount",
    "lineItem/CurrencyCode",
    "lineItem/UnblendedCost",
    "lineItem/LineItemDescription",
    "product/regionCode",
)
_PRICE = Money.usd("0.001")
_OTHERS_UNITS = 120
_IN_DOUBT_FOR = timedelta(days=3)
"""After that the ledger takes a call to have been billed; of younger ones this invoice counts every other."""


def write_invoice(database_url: str, path: Path, today: date) -> None:
    """A Cost and Usage Report of this month up to yesterday; on a month's first day, of the one before.

    Source: https://docs.aws.amazon.com/cur/latest/userguide/data-dictionary.html
    """
    last = today - timedelta(days=1)
    where = CostFilter(first=last.replace(day=1), last=last, provider="rekognition")
    engine = prepare_database(database_url)
    with engine.connect() as connection, path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(_COLUMNS)
        rows = list(cost_rows(connection, where, ("day", "sku")))
        somebody_elses = max((row.keys["day"] for row in rows), default="")
        for number, row in enumerate(rows):
            day, sku = row.keys["day"], row.keys["sku"]
            in_doubt = row.unknown.nanos // _PRICE.nanos
            is_young = date.fromisoformat(day) > last - _IN_DOUBT_FOR
            units = row.billed_units + (in_doubt // 2 if is_young else in_doubt)
            if day == somebody_elses and sku == "DetectLabels":
                units += _OTHERS_UNITS
            lines.writerow(
                (
                    f"simulated-{number}",
                    f"{day[:7]}-01T00:00:00Z",
                    "Usage",
                    f"{day}T00:00:00Z",
                    "AmazonRekognition",
                    sku,
                    "USE1-ImagesProcessed",
                    units,
                    "USD",
                    _PRICE * units,
                    f"Simulated: {sku} images processed",
                    "us-east-1",
                )
            )
    engine.dispose()
