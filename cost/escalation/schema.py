"""The table of learned policies, every version of them. Alembic makes it (`gateway/migrations`); a test holds the two alike."""

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table, Text

metadata = MetaData()

policies = Table(
    "policies",
    metadata,
    Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True),  # its version
    Column("feature", String(16), nullable=False),
    Column("made_at_us", BigInteger, nullable=False),
    Column("used_at_us", BigInteger, nullable=False),  # the latest of a feature is the one in use
    Column("records", BigInteger, nullable=False),
    Column("target", String(16), nullable=False),
    Column("note", Text, nullable=False),
    Column("artefact", Text, nullable=False),
)
Index("policies_in_use", policies.c.feature, policies.c.used_at_us)
