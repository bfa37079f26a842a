"""The tables behind `paced_budgets`. Alembic makes them (`gateway/migrations`); a test holds the two alike."""

from sqlalchemy import BigInteger, Column, MetaData, String, Table

metadata = MetaData()

paced_traffic = Table(
    "paced_traffic",
    metadata,
    Column("budget", String(64), primary_key=True),
    Column("hour", BigInteger, primary_key=True, autoincrement=False),  # since 1970, UTC
    Column("pictures", BigInteger, nullable=False),
)

pacing_plans = Table(
    "pacing_plans",
    metadata,
    Column("budget", String(64), primary_key=True),
    Column("planned_at_us", BigInteger, nullable=False),
    Column("window_starts_at_us", BigInteger, nullable=False),
    Column("committed_nanos", BigInteger, nullable=False),  # when it was planned
    Column("pictures", BigInteger, nullable=False),  # counted until then
    Column("multiplier_millionths", BigInteger, nullable=False),
    Column("lean_millionths", BigInteger, nullable=False),
    Column("aim_nanos", BigInteger, nullable=False),  # what a picture is to cost
)
