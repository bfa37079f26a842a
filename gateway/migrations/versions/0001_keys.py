"""Keys.

Revision ID: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the table of API keys."""
    op.create_table(
        "api_key",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("role", sa.Text, sa.CheckConstraint("role IN ('app', 'finance', 'admin')", name="api_key_role"), nullable=False),
        sa.Column("secret_sha256", sa.Text, nullable=False),
        sa.Column("tags", sa.JSON, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
    )
    in_use = sa.text("revoked_at IS NULL")
    op.create_index("api_key_name_in_use", "api_key", ["name"], unique=True, sqlite_where=in_use, postgresql_where=in_use)
