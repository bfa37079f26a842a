"""What every sum in the ledger must equal, as queries that find nothing while all is well."""

from cost.ledger.schema import MEASURES

_STATE_IS_ENTRY = """
SELECT a.id, a.state FROM attempts a
LEFT JOIN ledger_entries e ON e.subject_id = a.id
    AND e.kind = CASE a.state WHEN 'reserved' THEN 'reserve' WHEN 'settled' THEN 'settle' WHEN 'released' THEN 'release' ELSE a.state END
WHERE e.hash IS NULL
    OR e.amount_nanos <> CASE a.state WHEN 'settled' THEN a.cost_nanos WHEN 'released' THEN 0 ELSE a.price_nanos END
    OR COALESCE(e.outcome, '') <> COALESCE(a.outcome, '')
    OR COALESCE(e.provider_request_id, '') <> COALESCE(a.provider_request_id, '')
    OR (a.state = 'reserved' AND a.ended_at_us IS NOT NULL) OR (a.state <> 'reserved' AND COALESCE(a.ended_at_us, -1) <> e.at_us)
    OR (a.state <> 'settled' AND a.cost_nanos IS NOT NULL)
"""

# What vouches for an attempt's facts may be the end of a chain whose writer died.
_ATTEMPT_WAS_RESERVED = """
SELECT a.id FROM attempts a LEFT JOIN ledger_entries e ON e.subject_id = a.id AND e.kind = 'reserve' WHERE e.hash IS NULL
"""

_ENTRY_IS_STATE = """
SELECT a.id, a.state, e.kind FROM ledger_entries e JOIN attempts a ON a.id = e.subject_id
WHERE (e.kind = 'settle' AND a.state <> 'settled') OR (e.kind = 'release' AND a.state <> 'released')
    OR (e.kind = 'unknown' AND a.state = 'reserved')
"""

# A chain can't tell that its end is missing; what the last entries were about can.
_CORRECTION_IS_ENTRY = """
SELECT c.id, c.amount_nanos FROM corrections c LEFT JOIN ledger_entries e ON e.subject_id = c.id AND e.kind = 'correct' WHERE e.hash IS NULL
"""

_ATTEMPT_IS_LINES = """
SELECT a.id, a.price_nanos, COALESCE(SUM(l.price_nanos), 0) AS lines FROM attempts a LEFT JOIN attempt_lines l ON l.attempt_id = a.id
GROUP BY a.id, a.price_nanos HAVING a.price_nanos <> COALESCE(SUM(l.price_nanos), 0)
"""

_WINDOW_IS_ATTEMPTS = """
SELECT w.id, b.name, w.settled_nanos, w.reserved_nanos, w.unknown_nanos,
    w.opening_nanos + COALESCE(s.settled, 0) + COALESCE(c.corrected, 0) AS settled, COALESCE(s.reserved, 0) AS reserved,
    COALESCE(s.unknown, 0) AS unknown
FROM budget_windows w JOIN budgets b ON b.id = w.budget_id
LEFT JOIN (
    SELECT l.window_id, SUM(CASE a.state WHEN 'settled' THEN a.cost_nanos ELSE 0 END) AS settled,
        SUM(CASE a.state WHEN 'reserved' THEN a.price_nanos ELSE 0 END) AS reserved,
        SUM(CASE a.state WHEN 'unknown' THEN a.price_nanos ELSE 0 END) AS unknown
    FROM attempt_windows l JOIN attempts a ON a.id = l.attempt_id GROUP BY l.window_id
) s ON s.window_id = w.id
LEFT JOIN (
    SELECT l.window_id, SUM(k.amount_nanos) AS corrected
    FROM correction_windows l JOIN corrections k ON k.id = l.correction_id GROUP BY l.window_id
) c ON c.window_id = w.id
WHERE w.settled_nanos <> w.opening_nanos + COALESCE(s.settled, 0) + COALESCE(c.corrected, 0)
    OR w.reserved_nanos <> COALESCE(s.reserved, 0) OR w.unknown_nanos <> COALESCE(s.unknown, 0)
"""

_LINK_IS_IN_WINDOW = """
SELECT l.attempt_id, l.window_id FROM attempt_windows l JOIN attempts a ON a.id = l.attempt_id
LEFT JOIN budget_windows w ON w.id = l.window_id LEFT JOIN budgets b ON b.id = w.budget_id
WHERE b.id IS NULL OR a.reserved_at_us < w.starts_at_us OR a.reserved_at_us >= w.ends_at_us
"""

# Of budgets that are older than the record of changes, the record says nothing.
_BUDGET_IS_CHANGE = """
SELECT b.name, b.limit_nanos, c.limit_nanos AS set_to FROM budgets b
JOIN budget_changes c ON c.id = (SELECT MAX(id) FROM budget_changes l WHERE l.name = b.name)
WHERE b.retired_at_us IS NULL AND (c.change = 'ended' OR b.limit_nanos <> c.limit_nanos OR b.when_exhausted <> c.when_exhausted
    OR b.scope <> c.scope OR b.scope_value <> c.scope_value OR b.period <> c.period OR b.timezone <> c.timezone
    OR b.pacing <> c.pacing OR b.alert_at <> c.alert_at)
"""

_WINDOW_IS_IN_LIMIT = """
SELECT w.id, b.name, w.settled_nanos + w.reserved_nanos + w.unknown_nanos AS committed, w.limit_nanos, w.excess_nanos
FROM budget_windows w JOIN budgets b ON b.id = w.budget_id
WHERE w.settled_nanos + w.reserved_nanos + w.unknown_nanos > w.limit_nanos + w.excess_nanos
"""

_COUNTER_IS_LINES = """
SELECT u.id, u.provider, u.tier_group, u.month, u.units, COALESCE(s.units, 0) AS lines FROM unit_counters u
LEFT JOIN (
    SELECT l.counter_id, SUM(l.units) AS units FROM attempt_lines l JOIN attempts a ON a.id = l.attempt_id
    WHERE a.state <> 'released' GROUP BY l.counter_id
) s ON s.counter_id = u.id
WHERE u.units <> COALESCE(s.units, 0)
"""

# The provider's month is the UTC month of some hour within a day of the reserve.
_LINE_IS_COUNTED = """
SELECT l.attempt_id, l.line FROM attempt_lines l JOIN attempts a ON a.id = l.attempt_id LEFT JOIN unit_counters u ON u.id = l.counter_id
WHERE u.id IS NULL OR u.provider <> a.provider OR u.month NOT IN (substr({day_before}, 1, 7), substr({day_after}, 1, 7))
"""

# Everything that a daily sum adds up, less the daily sum: nothing is left.
_TAGGED_IS_ROWS = """
SELECT day, provider, sku, features, client, tags, {sums}
FROM (
    SELECT {reserved_on} AS day, a.provider, l.sku, a.features, a.client, a.tags,
        CASE WHEN a.state <> 'released' AND l.line = 0 THEN 1 ELSE 0 END AS calls,
        CASE WHEN a.state <> 'released' THEN 1 ELSE 0 END AS line_calls,
        CASE a.state WHEN 'settled' THEN l.units ELSE 0 END AS billed_units,
        CASE a.state WHEN 'settled'
            THEN l.price_nanos + CASE l.line WHEN 0 THEN a.cost_nanos - a.price_nanos ELSE 0 END ELSE 0 END AS cost_nanos,
        CASE a.state WHEN 'reserved' THEN l.price_nanos ELSE 0 END AS reserved_nanos,
        CASE a.state WHEN 'unknown' THEN l.price_nanos ELSE 0 END AS unknown_nanos,
        0 AS imputed_nanos, 0 AS avoided_nanos, 0 AS avoided_cache_nanos, 0 AS avoided_joined_nanos, 0 AS hits
    FROM attempts a JOIN attempt_lines l ON l.attempt_id = a.id
    UNION ALL
    SELECT day, provider, sku, features, client, tags, 0, 0, units, amount_nanos, 0, 0, 0, 0, 0, 0, 0 FROM corrections
    UNION ALL
    SELECT {used_on}, provider, sku, features, client, tags,
        CASE kind WHEN 'in_house' THEN 1 ELSE 0 END, CASE kind WHEN 'in_house' THEN 1 ELSE 0 END,
        0, 0, 0, 0, imputed_nanos, avoided_nanos,
        CASE kind WHEN 'hit' THEN avoided_nanos ELSE 0 END, CASE kind WHEN 'joined' THEN avoided_nanos ELSE 0 END,
        CASE kind WHEN 'in_house' THEN 0 ELSE 1 END
    FROM usage_rows
    UNION ALL
    SELECT day, provider, sku, features, client, tags, {negatives} FROM daily_tag_rollups
) differences
GROUP BY day, provider, sku, features, client, tags
HAVING {unequal}
"""

_ROLLUP_IS_TAGGED = """
SELECT day, provider, sku, features, client, {sums}
FROM (
    SELECT day, provider, sku, features, client, {measures} FROM daily_tag_rollups
    UNION ALL
    SELECT day, provider, sku, features, client, {negatives} FROM daily_rollups
) differences
GROUP BY day, provider, sku, features, client
HAVING {unequal}
"""

_MEASURES = {
    "sums": ", ".join(f"SUM({name}) AS {name}" for name in MEASURES),
    "measures": ", ".join(MEASURES),
    "negatives": ", ".join(f"-{name}" for name in MEASURES),
    "unequal": " OR ".join(f"SUM({name}) <> 0" for name in MEASURES),
}

_DAY_OF = {
    "sqlite": "date({us} / 1000000, 'unixepoch')",
    "postgresql": "to_char(to_timestamp({us} / 1000000) AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
}


_TAGGED_DIFFERS = (
    "the daily sum of {day}, {provider}, {sku}, {features}, {client}, {tags} differs from its rows by {cost_nanos} nanos and {calls} calls"
)
_ROLLUP_DIFFERS = (
    "the daily sum of {day}, {provider}, {sku}, {features}, {client} differs from those by tags by {cost_nanos} nanos and {calls} calls"
)
_WINDOW_DIFFERS = (
    "window {id} of budget {name} says settled {settled_nanos}, reserved {reserved_nanos}, unknown {unknown_nanos} nanos; "
    "its attempts and corrections say {settled}, {reserved}, {unknown}"
)


def sums(dialect: str) -> list[tuple[str, str]]:
    """Queries for one database, each with the sentence for a row that it finds."""
    day_of = _DAY_OF[dialect]
    days = {"reserved_on": day_of.format(us="a.reserved_at_us"), "used_on": day_of.format(us="at_us")}
    a_day_us = 86_400_000_000
    line_is_counted = _LINE_IS_COUNTED.format(
        day_before=day_of.format(us=f"(a.reserved_at_us - {a_day_us})"), day_after=day_of.format(us=f"(a.reserved_at_us + {a_day_us})")
    )
    return [
        (_ATTEMPT_WAS_RESERVED, "attempt {id} has no entry of its reserve"),
        (_STATE_IS_ENTRY, "attempt {id} is {state}, and no entry says the same"),
        (_ENTRY_IS_STATE, "attempt {id} is {state}, and an entry says {kind}"),
        (_CORRECTION_IS_ENTRY, "correction {id} of {amount_nanos} nanos has no entry"),
        (_ATTEMPT_IS_LINES, "attempt {id} has the price {price_nanos}, and its lines {lines} nanos"),
        (_WINDOW_IS_ATTEMPTS, _WINDOW_DIFFERS),
        (_BUDGET_IS_CHANGE, "budget {name} of {limit_nanos} nanos is not what it was last set to ({set_to} nanos)"),
        (_LINK_IS_IN_WINDOW, "attempt {attempt_id} counts in window {window_id}, which is not there or not of its time"),
        (
            _WINDOW_IS_IN_LIMIT,
            "window {id} of budget {name} has committed {committed} of {limit_nanos} nanos, of which {excess_nanos} explain themselves",
        ),
        (line_is_counted, "line {line} of attempt {attempt_id} is counted nowhere, or in another provider's or month's units"),
        (_COUNTER_IS_LINES, "counter {id} of {provider}, {tier_group}, {month} says {units} units; its attempts say {lines}"),
        (_TAGGED_IS_ROWS.format(**_MEASURES, **days), _TAGGED_DIFFERS),
        (_ROLLUP_IS_TAGGED.format(**_MEASURES), _ROLLUP_DIFFERS),
    ]
