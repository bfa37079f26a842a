"""The rows behind a number are found by an index, and the daily sums by tags hold all tags of a row together."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

KEYS = (("day", 10), ("provider", 64), ("sku", 128), ("features", 128), ("client", 128))
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

_DAY_OF = {
    "sqlite": "date({us} / 1000000, 'unixepoch')",
    "postgresql": "to_char(to_timestamp({us} / 1000000) AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
}
_KEYS = "day, provider, sku, features, client"
_SUM_ROWS = """
INSERT INTO daily_tag_rollups ({keys}, tags, {measures})
SELECT {keys}, tags, {sums}
FROM (
    SELECT {reserved_on} AS day, a.provider, l.sku, a.features, a.client, a.tags,
        CASE WHEN l.line = 0 THEN 1 ELSE 0 END AS calls, 1 AS line_calls,
        CASE a.state WHEN 'settled' THEN l.units ELSE 0 END AS billed_units,
        CASE a.state WHEN 'settled'
            THEN l.price_nanos + CASE l.line WHEN 0 THEN a.cost_nanos - a.price_nanos ELSE 0 END ELSE 0 END AS cost_nanos,
        CASE a.state WHEN 'reserved' THEN l.price_nanos ELSE 0 END AS reserved_nanos,
        CASE a.state WHEN 'unknown' THEN l.price_nanos ELSE 0 END AS unknown_nanos,
        0 AS imputed_nanos, 0 AS avoided_nanos, 0 AS avoided_cache_nanos, 0 AS avoided_joined_nanos, 0 AS hits
    FROM attempts a JOIN attempt_lines l ON l.attempt_id = a.id WHERE a.state <> 'released'
    UNION ALL
    SELECT day, provider, sku, features, client, tags, 0, 0, units, amount_nanos, 0, 0, 0, 0, 0, 0, 0 FROM corrections
    UNION ALL
    SELECT {used_on}, provider, sku, features, client, tags,
        CASE kind WHEN 'in_house' THEN 1 ELSE 0 END, CASE kind WHEN 'in_house' THEN 1 ELSE 0 END,
        0, 0, 0, 0, imputed_nanos, avoided_nanos,
        CASE kind WHEN 'hit' THEN avoided_nanos ELSE 0 END, CASE kind WHEN 'joined' THEN avoided_nanos ELSE 0 END,
        CASE kind WHEN 'in_house' THEN 0 ELSE 1 END
    FROM usage_rows
) AS ledger_rows
GROUP BY {keys}, tags
"""
_SUM_SUMS = "INSERT INTO daily_rollups ({keys}, {measures}) SELECT {keys}, {sums} FROM daily_tag_rollups GROUP BY {keys}"


def upgrade() -> None:
    """Make the indexes, and both kinds of daily sums anew from the rows."""
    for name in ("attempts_by_time", "usage_by_time"):
        op.drop_index(name)
    op.create_index("attempts_by_time", "attempts", ["reserved_at_us", "id"])
    op.create_index("attempts_by_owner", "attempts", ["provider", "client", "features", "reserved_at_us", "id"])
    op.create_index("usage_by_time", "usage_rows", ["at_us", "id"])
    op.create_index("usage_by_owner", "usage_rows", ["provider", "client", "features", "at_us", "id"])
    op.create_index("corrections_by_day", "corrections", ["day", "id"])
    for name in ("daily_rollups", "daily_tag_rollups"):
        op.drop_table(name)
    _make("daily_rollups", [])
    _make("daily_tag_rollups", [sa.Column("tags", sa.Text(), nullable=False)])
    day_of = _DAY_OF[op.get_bind().dialect.name]
    sums = ", ".join(f"SUM({name})" for name in MEASURES)
    words = {"keys": _KEYS, "measures": ", ".join(MEASURES), "sums": sums}
    words |= {"reserved_on": day_of.format(us="a.reserved_at_us"), "used_on": day_of.format(us="at_us")}
    op.execute(_SUM_ROWS.format(**words))
    op.execute(_SUM_SUMS.format(**words))


def _make(name: str, more_keys: list[sa.Column[str]]) -> None:
    keys = [sa.Column(key, sa.String(length=length), nullable=False) for key, length in KEYS] + more_keys
    measures = [sa.Column(measure, sa.BigInteger(), server_default="0", nullable=False) for measure in MEASURES]
    op.create_table(name, *keys, *measures, sa.PrimaryKeyConstraint(*(key.name for key in keys)), sqlite_with_rowid=False)
