"""The table of comparison records. Alembic makes it (`gateway/migrations`); a test holds the two alike."""

from sqlalchemy import BigInteger, Column, Index, MetaData, String, Table, Text

metadata = MetaData()

comparisons = Table(
    "comparisons",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("at_us", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("feature", String(16), nullable=False),
    Column("origin", String(16), nullable=False),
    Column("source", String(64), nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("record", Text, nullable=False),  # the whole of it as JSON, see `terms`
)
Index("comparisons_by_feature", comparisons.c.feature, comparisons.c.at_us)
Index("comparisons_by_source", comparisons.c.source, comparisons.c.at_us)
Index("comparisons_of_digest", comparisons.c.digest)
Index("comparisons_of_request", comparisons.c.request_id)
