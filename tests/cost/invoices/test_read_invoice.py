"""Made-up invoices in every form that the clouds export."""

import gzip
import io
import json

import pytest

from cost.invoices import BadInvoice, InvoiceKey, InvoiceSums, read_invoice
from cost.money import Money
from cost.price_files import load_prices

PRICES = load_prices(None, {"rekognition": "us-east-1"})
DAY = "2026-11-03"
LABELS = InvoiceKey("rekognition", DAY, "DetectLabels", "us-east-1")
OBJECTS = InvoiceKey("google_vision", DAY, "OBJECT_LOCALIZATION", "*")

CUR = """\
identity/LineItemId,lineItem/LineItemType,lineItem/UsageStartDate,lineItem/ProductCode,lineItem/UsageType,lineItem/Operation,lineItem/UsageAmount,lineItem/CurrencyCode,lineItem/UnblendedCost,product/region
1,Usage,2026-11-03T00:00:00Z,AmazonRekognition,USE1-ImagesProcessed,DetectLabels,120.0000000000,USD,0.1200000000,us-east-1
2,Usage,2026-11-03T01:00:00Z,AmazonRekognition,USE1-ImagesProcessed,DetectLabels,3,USD,0.003,
3,Usage,2026-11-03T01:00:00Z,AmazonS3,USE1-Requests,PutObject,10,USD,0.00005,us-east-1
4,Tax,2026-11-03T00:00:00Z,AmazonRekognition,,,1,USD,0.02,us-east-1
5,Credit,2026-11-03T00:00:00Z,AmazonRekognition,USE1-ImagesProcessed,DetectLabels,0,USD,-0.01,us-east-1
"""
CUR_LINES = {LABELS: InvoiceSums(123, Money.usd("0.113"), 0, Money.usd("-0.01"))}
SNAKE = "line_item_line_item_type,line_item_usage_start_date,line_item_product_code,line_item_usage_type,line_item_operation,"
SNAKE += "line_item_usage_amount,line_item_currency_code,line_item_unblended_cost,product_region_code"
CUR_2 = "\n".join([SNAKE, *(line.partition(",")[2] for line in CUR.splitlines()[1:])])
GOOGLE_ROW = {
    "service": {"id": "1", "description": "Cloud Vision API"},
    "sku": {"id": "2", "description": "Object Localization Operations"},
    "usage_start_time": "2026-11-03 10:00:00 UTC",
    "location": {"region": "us"},
    "cost": 0.045,
    "currency": "USD",
    "usage": {"amount": 20.0, "unit": "count"},
    "credits": [{"name": "promo", "amount": -0.005}],
    "cost_type": "regular",
}
GOOGLE_LINES = {OBJECTS: InvoiceSums(20, Money.usd("0.04"), 0, Money.usd("-0.005"))}
FOCUS = """\
BilledCost,BillingCurrency,ChargeCategory,ChargePeriodStart,PricingQuantity,RegionId,ServiceName,SkuId
0.12,USD,Usage,2026-11-03T00:00:00Z,120.0,us-east-1,Amazon Rekognition,DetectLabels
0.0045,USD,Usage,2026-11-03T00:00:00Z,2,,Cloud Vision API,OBJECT_LOCALIZATION
0.0,USD,Usage,2026-11-03T05:00:00Z,1,,Cloud Vision API,OBJECT_LOCALIZATION
"""
FOCUS_LINES = {
    LABELS: InvoiceSums(120, Money.usd("0.12")),
    OBJECTS: InvoiceSums(3, Money.usd("0.0045"), free_units=1),
}


def flat_google():
    header = "service.description,sku.description,usage_start_time,location.region,cost,currency,usage.amount,credits,cost_type"
    start = "Cloud Vision API,Object Localization Operations,2026-11-03 10:00:00 UTC,us,0.045,USD,20,"
    return f'{header}\n{start}"[{{""amount"": -0.005}}]",regular\n'


def as_parquet(text):
    import csv  # noqa: PLC0415

    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import parquet  # noqa: PLC0415

    rows = list(csv.DictReader(io.StringIO(text)))
    out = io.BytesIO()
    doubles = {"line_item_usage_amount", "line_item_unblended_cost"}
    for row in rows:
        row.update({name: float(row[name]) for name in doubles})
    parquet.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


def read(data):
    return read_invoice(io.BytesIO(data.encode() if isinstance(data, str) else data), PRICES)


@pytest.mark.parametrize(
    ("data", "form", "lines"),
    [
        (CUR, "aws_cur", CUR_LINES),
        (CUR_2, "aws_cur", CUR_LINES),
        (gzip.compress(CUR.encode()), "aws_cur", CUR_LINES),
        (as_parquet(CUR_2), "aws_cur", CUR_LINES),
        ("\ufeff" + CUR, "aws_cur", CUR_LINES),
        (json.dumps(GOOGLE_ROW) + "\n\n", "google", GOOGLE_LINES),
        (json.dumps([GOOGLE_ROW], indent=1), "google", GOOGLE_LINES),
        (flat_google(), "google", GOOGLE_LINES),
        (FOCUS, "focus", FOCUS_LINES),
    ],
    ids=["cur", "cur 2", "gzip", "parquet", "bom", "ndjson", "json", "google csv", "focus"],
)
def test_every_form_is_recognised_and_added_up(data, form, lines):
    invoice = read(data)
    assert (invoice.format, dict(invoice.lines)) == (form, lines)


def test_other_services_and_taxes_stand_beside():
    invoice = read(CUR)
    assert (invoice.rows, invoice.other_rows, invoice.tax) == (5, 1, Money.usd("0.02"))


def test_a_region_is_read_from_the_usage_type_where_no_column_names_it():
    (key,) = read(CUR.replace(",us-east-1", ",").replace("USE1-I", "EUC1-I")).lines
    assert key.region == "eu-central-1"


def test_a_sku_that_no_sheet_knows_keeps_the_invoice_s_name():
    (key,) = read(CUR.replace("DetectLabels", "CompareFaces")).lines
    assert key.sku == "CompareFaces"


def test_costs_finer_than_a_nano_dollar_are_added_up_before_they_are_rounded():
    rows = "".join(
        f"{n},Usage,2026-11-03T00:00:00Z,AmazonRekognition,USE1-X,DetectLabels,1,USD,0.0000000004,us-east-1\n" for n in range(10)
    )
    (sums,) = read(CUR.splitlines(keepends=True)[0] + rows).lines.values()
    assert sums.amount == Money(4)


@pytest.mark.parametrize(
    ("data", "line", "column"),
    [
        (CUR.replace("120.0000000000", "many"), 2, "lineItem/UsageAmount"),
        (CUR.replace("0.003,", "NaN,"), 3, "lineItem/UnblendedCost"),
        (CUR.replace("0.003,", "1e400,"), 3, "lineItem/UnblendedCost"),
        (CUR.replace("2026-11-03T01:00:00Z,AmazonRek", "yesterday,AmazonRek"), 3, "lineItem/UsageStartDate"),
        (CUR.replace("3,USD", "3,EUR"), 3, "lineItem/CurrencyCode"),
        (CUR.replace(",0.003,\n", ",0.003\n"), 3, "product/region"),
        (CUR.replace("0.003,", '"0.003,'), 6, None),
        (CUR.replace("lineItem/UsageType", "lineItem/Operation"), 1, "lineItem/Operation"),
        (CUR.replace("lineItem/UsageAmount", "amount"), 1, "line_item_usage_amount"),
        (json.dumps(GOOGLE_ROW) + "\n{oops}\n", 2, None),
        (json.dumps(GOOGLE_ROW | {"cost": "x"}), 1, "cost"),
        (json.dumps(GOOGLE_ROW) + '\n{"cost": NaN}\n', 2, None),
        (json.dumps(GOOGLE_ROW) + "\n[1]\n", 2, None),
        (json.dumps(GOOGLE_ROW | {"credits": "x"}), 1, "credits"),
        ("", None, None),
        ("a,b\n1,2\n", 1, None),
        (CUR.splitlines()[0], None, None),
        ("\n".join(line for line in CUR.splitlines() if "Rekognition" not in line), None, None),
        (b"a,b\n\xff\xfe,1\n", 1, None),
        (b"PAR1 and nothing more", 1, None),
        (gzip.compress(CUR.encode())[:-20], 1, None),
        (b"\x00" * 100, None, None),
        ("[" * 100_000, 1, None),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_line_and_column(data, line, column):
    with pytest.raises(BadInvoice) as caught:
        read(data)
    assert line is None or (caught.value.line, caught.value.column) == (line, column), caught.value
