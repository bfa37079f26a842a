"""Experiments, and pictures that an operator lets be kept. The tables are explained in gateway/experiments/schema.py.

Revision ID: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "experiments",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("terms", sa.Text, nullable=False),
        sa.Column("hash_key", sa.LargeBinary, nullable=False),
        sa.Column("created_by", sa.String(128), nullable=False),
        sa.Column("created_at_us", sa.BigInteger, nullable=False),
        sa.Column("started_at_us", sa.BigInteger),
        sa.Column("stopped_at_us", sa.BigInteger),
        sa.Column("stopped_because", sa.Text, nullable=False),
        sa.Column("truth_labels", sa.Text, nullable=False),
        sa.Column("shed", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "experiment_pictures",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("experiment", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("unit", sa.String(16), nullable=False),
        sa.Column("width", sa.BigInteger, nullable=False),
        sa.Column("height", sa.BigInteger, nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("answers", sa.Text, nullable=False),
    )
    op.create_index("experiment_pictures_by_time", "experiment_pictures", ["experiment", "at_us"])
    op.create_index("experiment_pictures_by_digest", "experiment_pictures", ["experiment", "digest"])
    op.create_table(
        "experiment_truths",
        sa.Column("experiment", sa.String(64), primary_key=True),
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("things", sa.Text, nullable=False),
    )
    op.create_table(
        "experiment_verdicts",
        sa.Column("experiment", sa.String(64), primary_key=True),
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("arms", sa.Text, nullable=False),
        sa.Column("judged_by", sa.String(128), nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "kept_pictures",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("jpeg", sa.LargeBinary, nullable=False),
        sa.Column("kept_at_us", sa.BigInteger, nullable=False),
    )
    op.create_index("kept_pictures_by_time", "kept_pictures", ["kept_at_us"])
