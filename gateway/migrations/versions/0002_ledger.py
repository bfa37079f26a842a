"""The ledger: budgets, attempts, the journal and its daily sums. The tables are explained in cost/ledger/schema.py."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

APPEND_ONLY = ("ledger_entries", "corrections", "correction_windows", "attempt_lines", "attempt_windows")
FIXED_IN_ATTEMPTS = ("id", "request_id", "client", "tags", "provider", "features", "price_nanos", "reserved_at_us", "deadline_at_us")

IS_OPEN = sa.text("state IN ('reserved', 'unknown')")
IN_FORCE = sa.text("retired_at_us IS NULL")


def upgrade() -> None:
    """Make the tables, and the triggers that keep what is written."""
    op.create_table(
        "attempts",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("client", sa.String(length=128), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("features", sa.String(length=128), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("price_nanos", sa.BigInteger(), nullable=False),
        sa.Column("cost_nanos", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.String(length=64), nullable=True),
        sa.Column("provider_request_id", sa.String(length=256), nullable=True),
        sa.Column("reserved_at_us", sa.BigInteger(), nullable=False),
        sa.Column("deadline_at_us", sa.BigInteger(), nullable=False),
        sa.Column("ended_at_us", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("(state = 'settled') = (cost_nanos IS NOT NULL)"),
        sa.CheckConstraint("state IN ('reserved', 'settled', 'released', 'unknown')"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("attempts_by_time", "attempts", ["reserved_at_us"], unique=False)
    op.create_index("attempts_of_request", "attempts", ["request_id"], unique=False)
    op.create_index(
        "attempts_open",
        "attempts",
        ["state", "deadline_at_us"],
        unique=False,
        sqlite_where=sa.text("state IN ('reserved', 'unknown')"),
        postgresql_where=sa.text("state IN ('reserved', 'unknown')"),
    )
    op.create_table(
        "budgets",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("scope", sa.String(length=16), nullable=False),
        sa.Column("scope_value", sa.Text(), nullable=False),
        sa.Column("period", sa.String(length=8), nullable=False),
        sa.Column("timezone", sa.String(length=64), nullable=False),
        sa.Column("limit_nanos", sa.BigInteger(), nullable=False),
        sa.Column("when_exhausted", sa.String(length=8), nullable=False),
        sa.Column("pacing", sa.Boolean(), nullable=False),
        sa.Column("alert_at", sa.Text(), nullable=False),
        sa.Column("created_at_us", sa.BigInteger(), nullable=False),
        sa.Column("retired_at_us", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("limit_nanos >= 0"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "budgets_in_force",
        "budgets",
        ["name"],
        unique=True,
        sqlite_where=sa.text("retired_at_us IS NULL"),
        postgresql_where=sa.text("retired_at_us IS NULL"),
    )
    op.create_table(
        "budgets_version",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "clock_anchors",
        sa.Column("boot_id", sa.String(length=64), nullable=False),
        sa.Column("wall_us", sa.BigInteger(), nullable=False),
        sa.Column("elapsed_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("boot_id"),
    )
    op.create_table(
        "daily_rollups",
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("sku", sa.String(length=128), nullable=False),
        sa.Column("features", sa.String(length=128), nullable=False),
        sa.Column("client", sa.String(length=128), nullable=False),
        sa.Column("calls", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("line_calls", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("billed_units", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("cost_nanos", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("reserved_nanos", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("unknown_nanos", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("imputed_nanos", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("avoided_nanos", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("hits", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("day", "provider", "sku", "features", "client"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "daily_tag_rollups",
        sa.Column("tag", sa.String(length=64), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("tag_value", sa.String(length=128), nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("sku", sa.String(length=128), nullable=False),
        sa.Column("features", sa.String(length=128), nullable=False),
        sa.Column("client", sa.String(length=128), nullable=False),
        sa.Column("calls", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("line_calls", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("billed_units", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("cost_nanos", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("reserved_nanos", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("unknown_nanos", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("imputed_nanos", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("avoided_nanos", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("hits", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("tag", "day", "tag_value", "provider", "sku", "features", "client"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("client", sa.String(length=128), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("deadline_at_us", sa.BigInteger(), nullable=False),
        sa.Column("expires_at_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client", "key"),
    )
    op.create_index("idempotency_by_expiry", "idempotency_keys", ["expires_at_us"], unique=False)
    op.create_table(
        "ledger_entries",
        sa.Column("writer", sa.String(length=32), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("subject_id", sa.String(length=32), nullable=False),
        sa.Column("amount_nanos", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.String(length=64), nullable=True),
        sa.Column("provider_request_id", sa.String(length=256), nullable=True),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("writer", "seq"),
        sqlite_with_rowid=False,
    )
    op.create_index("entries_of_subject", "ledger_entries", ["subject_id"], unique=False)
    op.create_table(
        "unit_counters",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("account", sa.String(length=128), nullable=False),
        sa.Column("region", sa.String(length=64), nullable=False),
        sa.Column("tier_group", sa.String(length=128), nullable=False),
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("units", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("provider", "account", "region", "tier_group", "month"),
    )
    op.create_table(
        "usage_rows",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("client", sa.String(length=128), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("features", sa.String(length=128), nullable=False),
        sa.Column("sku", sa.String(length=128), nullable=False),
        sa.Column("units", sa.BigInteger(), nullable=False),
        sa.Column("imputed_nanos", sa.BigInteger(), nullable=False),
        sa.Column("avoided_nanos", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("usage_by_time", "usage_rows", ["at_us"], unique=False)
    op.create_table(
        "attempt_lines",
        sa.Column("attempt_id", sa.String(length=32), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("sku", sa.String(length=128), nullable=False),
        sa.Column("units", sa.BigInteger(), nullable=False),
        sa.Column("price_nanos", sa.BigInteger(), nullable=False),
        sa.Column("list_price_nanos", sa.BigInteger(), nullable=False),
        sa.Column("price_version", sa.String(length=16), nullable=False),
        sa.Column("counter_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(
            ["attempt_id"],
            ["attempts.id"],
        ),
        sa.ForeignKeyConstraint(
            ["counter_id"],
            ["unit_counters.id"],
        ),
        sa.PrimaryKeyConstraint("attempt_id", "line"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "budget_windows",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("budget_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("starts_at_us", sa.BigInteger(), nullable=False),
        sa.Column("ends_at_us", sa.BigInteger(), nullable=False),
        sa.Column("limit_nanos", sa.BigInteger(), nullable=False),
        sa.Column("opening_nanos", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("settled_nanos", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("reserved_nanos", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("unknown_nanos", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("excess_nanos", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint("settled_nanos + reserved_nanos + unknown_nanos <= limit_nanos + excess_nanos", name="never_over"),
        sa.ForeignKeyConstraint(
            ["budget_id"],
            ["budgets.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("budget_id", "starts_at_us"),
    )
    op.create_table(
        "corrections",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("attempt_id", sa.String(length=32), nullable=True),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("sku", sa.String(length=128), nullable=False),
        sa.Column("features", sa.String(length=128), nullable=False),
        sa.Column("client", sa.String(length=128), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("units", sa.BigInteger(), nullable=False),
        sa.Column("amount_nanos", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["attempt_id"],
            ["attempts.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("corrections_of_attempt", "corrections", ["attempt_id"], unique=False)
    op.create_table(
        "attempt_windows",
        sa.Column("attempt_id", sa.String(length=32), nullable=False),
        sa.Column("window_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("joined_later", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.ForeignKeyConstraint(
            ["attempt_id"],
            ["attempts.id"],
        ),
        sa.ForeignKeyConstraint(
            ["window_id"],
            ["budget_windows.id"],
        ),
        sa.PrimaryKeyConstraint("attempt_id", "window_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("attempts_of_window", "attempt_windows", ["window_id"], unique=False)
    op.create_table(
        "budget_alerts",
        sa.Column("window_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("threshold", sa.String(length=16), nullable=False),
        sa.Column("due_at_us", sa.BigInteger(), nullable=False),
        sa.Column("committed_nanos", sa.BigInteger(), nullable=False),
        sa.Column("claimed_until_us", sa.BigInteger(), nullable=False),
        sa.Column("delivered_at_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["window_id"],
            ["budget_windows.id"],
        ),
        sa.PrimaryKeyConstraint("window_id", "threshold"),
    )
    op.create_table(
        "correction_windows",
        sa.Column("correction_id", sa.String(length=32), nullable=False),
        sa.Column("window_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(
            ["correction_id"],
            ["corrections.id"],
        ),
        sa.ForeignKeyConstraint(
            ["window_id"],
            ["budget_windows.id"],
        ),
        sa.PrimaryKeyConstraint("correction_id", "window_id"),
        sqlite_with_rowid=False,
    )
    op.execute("INSERT INTO budgets_version (id, version) VALUES (1, 0)")
    if op.get_bind().dialect.name == "sqlite":
        _sqlite_triggers()
    else:
        _postgres_triggers()


def _changed_facts() -> str:
    return " OR ".join(f"NEW.{column} <> OLD.{column}" for column in FIXED_IN_ATTEMPTS)


def _backwards() -> str:
    return "OLD.state NOT IN ('reserved', 'unknown') OR NEW.state = 'reserved'"


def _sqlite_triggers() -> None:
    for table in APPEND_ONLY:
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
    op.execute("CREATE TRIGGER attempts_no_delete BEFORE DELETE ON attempts BEGIN SELECT RAISE(ABORT, 'attempts are never deleted'); END")
    op.execute(
        f"CREATE TRIGGER attempts_forwards BEFORE UPDATE ON attempts WHEN {_changed_facts()} OR {_backwards()} "
        "BEGIN SELECT RAISE(ABORT, 'an attempt only moves forwards'); END"
    )


def _postgres_triggers() -> None:
    op.execute(
        """
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$
        """
    )
    for table in APPEND_ONLY:
        op.execute(f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_change()")
    for table in (*APPEND_ONLY, "attempts"):
        op.execute(f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} EXECUTE FUNCTION refuse_change()")
    op.execute("CREATE TRIGGER attempts_no_delete BEFORE DELETE ON attempts FOR EACH ROW EXECUTE FUNCTION refuse_change()")
    op.execute(
        f"CREATE TRIGGER attempts_forwards BEFORE UPDATE ON attempts FOR EACH ROW WHEN ({_changed_facts()} OR {_backwards()}) "
        "EXECUTE FUNCTION refuse_change()"
    )
