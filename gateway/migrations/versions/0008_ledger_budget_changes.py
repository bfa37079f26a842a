"""Who set which budget when: append-only."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table, and the triggers that keep what is written."""
    op.create_table(
        "budget_changes",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.String(length=128), nullable=False),
        sa.Column("change", sa.String(length=8), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("scope", sa.String(length=16), nullable=False),
        sa.Column("scope_value", sa.Text(), nullable=False),
        sa.Column("period", sa.String(length=8), nullable=False),
        sa.Column("timezone", sa.String(length=64), nullable=False),
        sa.Column("limit_nanos", sa.BigInteger(), nullable=False),
        sa.Column("when_exhausted", sa.String(length=8), nullable=False),
        sa.Column("pacing", sa.Boolean(), nullable=False),
        sa.Column("alert_at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("budget_changes_of_name", "budget_changes", ["name", "id"])
    if op.get_bind().dialect.name == "sqlite":
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER budget_changes_no_{change.lower()} BEFORE {change} ON budget_changes "
                "BEGIN SELECT RAISE(ABORT, 'budget_changes is append-only'); END"
            )
        return
    op.execute(
        "CREATE TRIGGER budget_changes_append_only BEFORE UPDATE OR DELETE ON budget_changes FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )
    op.execute("CREATE TRIGGER budget_changes_no_truncate BEFORE TRUNCATE ON budget_changes EXECUTE FUNCTION refuse_change()")
