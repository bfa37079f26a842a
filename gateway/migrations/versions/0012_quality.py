"""Drift of pictures and answers, canaries, and who of many processes does a job.

Revision ID: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "quality_observation",
        sa.Column("id", _ROW_ID, primary_key=True),
        sa.Column("provider", sa.String(64), nullable=False),
        sa.Column("feature", sa.String(16), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("seen", sa.Text, nullable=False),
    )
    op.create_index("quality_observation_of_stream", "quality_observation", ["provider", "feature", "id"])
    op.create_table(
        "quality_reference",
        sa.Column("provider", sa.String(64), primary_key=True),
        sa.Column("feature", sa.String(16), primary_key=True),
        sa.Column("after_id", sa.BigInteger, nullable=False),
        sa.Column("last_id", sa.BigInteger),
        sa.Column("rows", sa.Text),
        sa.Column("latest", sa.Text),
        sa.Column("pictures", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "quality_alarm",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("provider", sa.String(64), nullable=False),
        sa.Column("feature", sa.String(16), nullable=False),
        sa.Column("property", sa.String(32), nullable=False),
        sa.Column("told", sa.Text, nullable=False),
        sa.Column("delivered_at_us", sa.BigInteger),
        sa.Column("ended_at_us", sa.BigInteger),
    )
    op.create_index("quality_alarm_by_time", "quality_alarm", ["at_us"])
    op.create_table(
        "lease",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("holder", sa.String(64), nullable=False),
        sa.Column("until_us", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "canary_run",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("provider", sa.String(64), nullable=False),
        sa.Column("feature", sa.String(16), nullable=False),
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("answers", sa.Text, nullable=False),
        sa.Column("baseline", sa.Boolean, nullable=False),
        sa.Column("changed", sa.Boolean, nullable=False),
        sa.Column("summary", sa.Text, nullable=False),
    )
    op.create_index("canary_run_by_time", "canary_run", ["provider", "feature", "at_us"])
