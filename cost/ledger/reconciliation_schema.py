"""The tables of reconciliations: an invoice's sums as they were read, and who accepted what."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, String, Table, Text

from cost.ledger.schema import metadata

reconciliations = Table(
    "reconciliations",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("created_at_us", BigInteger, nullable=False),
    Column("created_by", String(128), nullable=False),
    Column("file_name", String(255), nullable=False),
    Column("file_format", String(16), nullable=False),
    # The same file is one reconciliation, however often it is sent.
    Column("file_sha256", String(64), nullable=False, unique=True),
    Column("file_rows", BigInteger, nullable=False),
    # Of services that have no price sheet.
    Column("other_rows", BigInteger, nullable=False),
    Column("tax_nanos", BigInteger, nullable=False),
    Column("accepted_at_us", BigInteger),
    Column("accepted_by", String(128)),
    # What was found when it was accepted, as JSON.
    Column("accepted_findings", Text),
)

reconciliation_lines = Table(
    "reconciliation_lines",
    metadata,
    Column("reconciliation_id", ForeignKey("reconciliations.id"), primary_key=True),
    Column("provider", String(64), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("sku", String(128), primary_key=True),
    Column("region", String(64), primary_key=True),
    Column("units", BigInteger, nullable=False),
    Column("amount_nanos", BigInteger, nullable=False),
    Column("free_units", BigInteger, nullable=False),
    Column("credit_nanos", BigInteger, nullable=False),
    # What was booked for it when it was accepted.
    Column("correction_id", String(32)),
    Index("reconciliation_lines_of_correction", "correction_id"),
    sqlite_with_rowid=False,
)
