"""Rows of a rare tag are found by an index as well."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the indexes."""
    op.create_index("attempts_by_tags", "attempts", ["tags", "reserved_at_us", "id"])
    op.create_index("usage_by_tags", "usage_rows", ["tags", "at_us", "id"])
