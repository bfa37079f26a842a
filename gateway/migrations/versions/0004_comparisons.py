"""Comparison records, and the policies that were learned from them.

Revision ID: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "comparisons",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("feature", sa.String(16), nullable=False),
        sa.Column("origin", sa.String(16), nullable=False),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("record", sa.Text, nullable=False),
    )
    op.create_index("comparisons_by_feature", "comparisons", ["feature", "at_us"])
    op.create_index("comparisons_by_source", "comparisons", ["source", "at_us"])
    op.create_index("comparisons_of_digest", "comparisons", ["digest"])
    op.create_index("comparisons_of_request", "comparisons", ["request_id"])
    op.create_table(
        "policies",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("feature", sa.String(16), nullable=False),
        sa.Column("made_at_us", sa.BigInteger, nullable=False),
        sa.Column("used_at_us", sa.BigInteger, nullable=False),
        sa.Column("records", sa.BigInteger, nullable=False),
        sa.Column("target", sa.String(16), nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("artefact", sa.Text, nullable=False),
    )
    op.create_index("policies_in_use", "policies", ["feature", "used_at_us"])
