"""The tables. Alembic makes them (`gateway/migrations`); a test holds the two alike.

Amounts are `*_nanos`, whole nano-dollars. Instants are `*_at_us`, microseconds since 1970 in UTC. Ids of attempts sort by time.
`entries`, `corrections`, `usage_rows` and `budget_changes` are append-only; what may change in `attempts` is its state, forwards; triggers
see to both.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData()

# SQLite gives row numbers only to a column of the type INTEGER.
_ROW_ID = BigInteger().with_variant(Integer(), "sqlite")


def _nanos(name: str, *, check: bool = False) -> Column[int]:
    constraints = [CheckConstraint(f"{name} >= 0")] if check else []
    return Column(name, BigInteger, *constraints, nullable=False, server_default="0")


budgets = Table(
    "budgets",
    metadata,
    Column("id", _ROW_ID, primary_key=True),
    Column("name", String(64), nullable=False),
    Column("scope", String(16), nullable=False),
    Column("scope_value", Text, nullable=False),
    Column("period", String(8), nullable=False),
    Column("timezone", String(64), nullable=False),
    Column("limit_nanos", BigInteger, nullable=False),
    Column("when_exhausted", String(8), nullable=False),
    Column("pacing", Boolean, nullable=False),
    Column("alert_at", Text, nullable=False),
    Column("created_at_us", BigInteger, nullable=False),
    Column("retired_at_us", BigInteger),
    CheckConstraint("limit_nanos >= 0"),
)
Index(
    "budgets_in_force",
    budgets.c.name,
    unique=True,
    sqlite_where=text("retired_at_us IS NULL"),
    postgresql_where=text("retired_at_us IS NULL"),
)

budget_changes = Table(
    "budget_changes",
    metadata,
    Column("id", _ROW_ID, primary_key=True),
    Column("at_us", BigInteger, nullable=False),
    # The name of a key; "" for a program of the operator's.
    Column("by", String(128), nullable=False),
    # made, changed, ended
    Column("change", String(8), nullable=False),
    Column("name", String(64), nullable=False),
    Column("scope", String(16), nullable=False),
    Column("scope_value", Text, nullable=False),
    Column("period", String(8), nullable=False),
    Column("timezone", String(64), nullable=False),
    Column("limit_nanos", BigInteger, nullable=False),
    Column("when_exhausted", String(8), nullable=False),
    Column("pacing", Boolean, nullable=False),
    Column("alert_at", Text, nullable=False),
    Index("budget_changes_of_name", "name", "id"),
)

budget_windows = Table(
    "budget_windows",
    metadata,
    Column("id", _ROW_ID, primary_key=True),
    Column("budget_id", ForeignKey("budgets.id"), nullable=False),
    Column("starts_at_us", BigInteger, nullable=False),
    Column("ends_at_us", BigInteger, nullable=False),
    Column("limit_nanos", BigInteger, nullable=False),
    # What was booked in this window before the budget existed; part of settled.
    _nanos("opening_nanos"),
    _nanos("settled_nanos"),
    _nanos("reserved_nanos", check=True),
    _nanos("unknown_nanos", check=True),
    # By how much a lowered limit or a correction has put this window above its limit: never an admission.
    _nanos("excess_nanos", check=True),
    UniqueConstraint("budget_id", "starts_at_us"),
    CheckConstraint("settled_nanos + reserved_nanos + unknown_nanos <= limit_nanos + excess_nanos", name="never_over"),
)

unit_counters = Table(
    "unit_counters",
    metadata,
    Column("id", _ROW_ID, primary_key=True),
    Column("provider", String(64), nullable=False),
    Column("account", String(128), nullable=False),
    Column("region", String(64), nullable=False),
    Column("tier_group", String(128), nullable=False),
    # The provider's calendar month, as 2026-11.
    Column("month", String(7), nullable=False),
    # Settled and open ones: a unit takes its place in the tiers when it is reserved.
    Column("units", BigInteger, CheckConstraint("units >= 0"), nullable=False, server_default="0"),
    UniqueConstraint("provider", "account", "region", "tier_group", "month"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("request_id", String(64), nullable=False),
    Column("client", String(128), nullable=False),
    # ",key:value,key:value," in order of the keys, so that a tag is found by LIKE; "," when there are none.
    Column("tags", Text, nullable=False),
    Column("provider", String(64), nullable=False),
    Column("features", String(128), nullable=False),
    Column("state", String(8), nullable=False),
    Column("price_nanos", BigInteger, nullable=False),
    # What it cost, once it is settled.
    Column("cost_nanos", BigInteger),
    Column("outcome", String(64)),
    Column("provider_request_id", String(256)),
    Column("reserved_at_us", BigInteger, nullable=False),
    Column("deadline_at_us", BigInteger, nullable=False),
    Column("ended_at_us", BigInteger),
    CheckConstraint("state IN ('reserved', 'settled', 'released', 'unknown')"),
    CheckConstraint("(state = 'settled') = (cost_nanos IS NOT NULL)"),
)
Index("attempts_of_request", attempts.c.request_id)
Index("attempts_by_time", attempts.c.reserved_at_us, attempts.c.id)
# For the rows behind a number: see `details`.
Index("attempts_by_owner", attempts.c.provider, attempts.c.client, attempts.c.features, attempts.c.reserved_at_us, attempts.c.id)
Index("attempts_by_tags", attempts.c.tags, attempts.c.reserved_at_us, attempts.c.id)
IS_OPEN = text("state IN ('reserved', 'unknown')")
"""Said so, word for word, by queries that are to use the index."""
Index("attempts_open", attempts.c.state, attempts.c.deadline_at_us, sqlite_where=IS_OPEN, postgresql_where=IS_OPEN)

attempt_lines = Table(
    "attempt_lines",
    metadata,
    Column("attempt_id", ForeignKey("attempts.id"), primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("sku", String(128), nullable=False),
    Column("units", BigInteger, nullable=False),
    Column("price_nanos", BigInteger, nullable=False),
    Column("list_price_nanos", BigInteger, nullable=False),
    Column("price_version", String(16), nullable=False),
    Column("counter_id", ForeignKey("unit_counters.id"), nullable=False),
    sqlite_with_rowid=False,
)

attempt_windows = Table(
    "attempt_windows",
    metadata,
    Column("attempt_id", ForeignKey("attempts.id"), primary_key=True),
    Column("window_id", ForeignKey("budget_windows.id"), primary_key=True),
    # By a budget that was made while the attempt was open.
    Column("joined_later", Boolean, nullable=False, server_default=text("false")),
    Index("attempts_of_window", "window_id"),
    sqlite_with_rowid=False,
)

corrections = Table(
    "corrections",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("at_us", BigInteger, nullable=False),
    # The attempt it corrects, or NULL for a line of an invoice.
    Column("attempt_id", ForeignKey("attempts.id")),
    Column("day", String(10), nullable=False),
    Column("provider", String(64), nullable=False),
    Column("sku", String(128), nullable=False),
    Column("features", String(128), nullable=False),
    Column("client", String(128), nullable=False),
    Column("tags", Text, nullable=False),
    Column("units", BigInteger, nullable=False),
    Column("amount_nanos", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Index("corrections_of_attempt", "attempt_id"),
    Index("corrections_by_day", "day", "id"),
)

correction_windows = Table(
    "correction_windows",
    metadata,
    Column("correction_id", ForeignKey("corrections.id"), primary_key=True),
    Column("window_id", ForeignKey("budget_windows.id"), primary_key=True),
    sqlite_with_rowid=False,
)

entries = Table(
    "ledger_entries",
    metadata,
    Column("writer", String(32), primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("at_us", BigInteger, nullable=False),
    # reserve, settle, release, unknown, correct
    Column("kind", String(8), nullable=False),
    # The attempt's or the correction's.
    Column("subject_id", String(32), nullable=False),
    Column("amount_nanos", BigInteger, nullable=False),
    Column("outcome", String(64)),
    Column("provider_request_id", String(256)),
    # SHA-256 over the predecessor's hash and everything this entry says, see `journal`.
    Column("hash", LargeBinary(32), nullable=False),
    Index("entries_of_subject", "subject_id"),
    sqlite_with_rowid=False,
)


def _measures() -> list[Column[int]]:
    return [_nanos(name) for name in MEASURES]


MEASURES = (
    "calls",
    "line_calls",
    "billed_units",
    "cost_nanos",
    "reserved_nanos",
    "unknown_nanos",
    "imputed_nanos",
    "avoided_nanos",
    "avoided_cache_nanos",
    "avoided_joined_nanos",
    "hits",
)
"""Of a rollup row. `calls` counts attempts (at their first line), `line_calls` every line, `hits` answers that called nobody.
`avoided_nanos` is all that was avoided; of it the cache's part, that of joined requests, and the rest the in-house model's."""

ROLLUP_KEYS = ("day", "provider", "sku", "features", "client")

rollups = Table(
    "daily_rollups",
    metadata,
    # The UTC day of the reserve, as 2026-11-22.
    Column("day", String(10), primary_key=True),
    Column("provider", String(64), primary_key=True),
    Column("sku", String(128), primary_key=True),
    Column("features", String(128), primary_key=True),
    Column("client", String(128), primary_key=True),
    *_measures(),
    sqlite_with_rowid=False,
)

tag_rollups = Table(
    "daily_tag_rollups",
    metadata,
    *(Column(name, String(length), primary_key=True) for name, length in (("day", 10), ("provider", 64), ("sku", 128))),
    *(Column(name, String(128), primary_key=True) for name in ("features", "client")),
    # All tags of a row as `attempts` keeps them, so that a report can be grouped by any of them together.
    Column("tags", Text, primary_key=True),
    *_measures(),
    sqlite_with_rowid=False,
)

usage_rows = Table(
    "usage_rows",
    metadata,
    Column("id", _ROW_ID, primary_key=True),
    Column("at_us", BigInteger, nullable=False),
    # in_house, hit, joined
    Column("kind", String(8), nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("client", String(128), nullable=False),
    Column("tags", Text, nullable=False),
    Column("provider", String(64), nullable=False),
    Column("features", String(128), nullable=False),
    Column("sku", String(128), nullable=False),
    Column("units", BigInteger, nullable=False),
    Column("imputed_nanos", BigInteger, nullable=False),
    Column("avoided_nanos", BigInteger, nullable=False),
    Index("usage_by_time", "at_us", "id"),
    Index("usage_by_owner", "provider", "client", "features", "at_us", "id"),
    Index("usage_by_tags", "tags", "at_us", "id"),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("client", String(128), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("request_id", String(64), nullable=False),
    # Of the saved answer; NULL while the request runs.
    Column("status", Integer),
    Column("body", LargeBinary),
    # Until then the request may still be running.
    Column("deadline_at_us", BigInteger, nullable=False),
    Column("expires_at_us", BigInteger, nullable=False),
    Index("idempotency_by_expiry", "expires_at_us"),
)

flights = Table(
    "flights",
    metadata,
    # SHA-256, in hex, of what identical requests have in common.
    Column("key", String(64), primary_key=True),
    # The process that asks; empty once it has landed.
    Column("owner", String(32), nullable=False),
    # Counts who has boarded: who was taken to be dead can't land on the next one's flight.
    Column("fence", BigInteger, nullable=False),
    # While it flies: its owner has said that it lives until then. Landed: what it brought is good until then.
    Column("until_us", BigInteger, nullable=False),
    Column("value", LargeBinary),
    Index("flights_by_owner", "owner"),
)

THRESHOLD_CHARS_MAX = 16

budget_alerts = Table(
    "budget_alerts",
    metadata,
    Column("window_id", ForeignKey("budget_windows.id"), primary_key=True),
    # A fraction of the limit, as 0.8.
    Column("threshold", String(THRESHOLD_CHARS_MAX), primary_key=True),
    Column("due_at_us", BigInteger, nullable=False),
    Column("committed_nanos", BigInteger, nullable=False),
    # Who sends it has until then; another may try after.
    Column("claimed_until_us", BigInteger, nullable=False),
    Column("delivered_at_us", BigInteger),
)

budgets_version = Table(
    "budgets_version",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("version", BigInteger, nullable=False),
)
"""One row; counts changes of budgets, so that every process notices them."""

clock_anchors = Table(
    "clock_anchors",
    metadata,
    # One row a boot of a machine: a wall-clock time, and how long the machine had then been up.
    Column("boot_id", String(64), primary_key=True),
    Column("wall_us", BigInteger, nullable=False),
    Column("elapsed_us", BigInteger, nullable=False),
)
