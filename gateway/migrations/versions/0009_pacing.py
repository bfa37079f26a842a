"""Pacing: the pictures of each hour, and the plan in force.

Revision ID: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "paced_traffic",
        sa.Column("budget", sa.String(64), primary_key=True),
        sa.Column("hour", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("pictures", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "pacing_plans",
        sa.Column("budget", sa.String(64), primary_key=True),
        sa.Column("planned_at_us", sa.BigInteger, nullable=False),
        sa.Column("window_starts_at_us", sa.BigInteger, nullable=False),
        sa.Column("committed_nanos", sa.BigInteger, nullable=False),
        sa.Column("pictures", sa.BigInteger, nullable=False),
        sa.Column("multiplier_millionths", sa.BigInteger, nullable=False),
        sa.Column("lean_millionths", sa.BigInteger, nullable=False),
        sa.Column("aim_nanos", sa.BigInteger, nullable=False),
    )
