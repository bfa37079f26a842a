"""Providers' invoices: what they say was used and what it cost, by day, SKU and region.

tables   rows of CSV, NDJSON, JSON and Parquet files, also gzipped, one at a time
forms    how AWS (Cost and Usage Report), Google Cloud (billing export) and FOCUS name what a row says
invoice  reads a file and adds its rows up
"""

from cost.invoices.invoice import Invoice, InvoiceKey, InvoiceSums, read_invoice
from cost.invoices.tables import BadInvoice

__all__ = ["BadInvoice", "Invoice", "InvoiceKey", "InvoiceSums", "read_invoice"]
