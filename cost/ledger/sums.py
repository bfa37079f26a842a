"""What every sum in the ledger must equal, as queries that find nothing while all is well."""

_STATE_IS_ENTRY = """
SELECT a.id, a.state FROM attempts a
LEFT JOIN ledger_entries e ON e.subject_id = a.id
    AND e.kind = CASE a.state WHEN 'reserved' THEN 'reserve' WHEN 'settled' THEN 'settle' WHEN 'released' THEN 'release' ELSE a.state END
WHERE e.hash IS NULL
    OR e.amount_nanos <> CASE a.state WHEN 'settled' THEN a.cost_nanos WHEN 'released' THEN 0 ELSE a.price_nanos END
    OR COALESCE(e.outcome, '') <> COALESCE(a.outcome, '')
    OR COALESCE(e.provider_request_id, '') <> COALESCE(a.provider_request_id, '')
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

# Everything that a daily sum adds up, less the daily sum: nothing is left.
_ROLLUP_IS_ROWS = """
SELECT day, provider, sku, features, client, SUM(calls) AS calls, SUM(line_calls) AS line_calls, SUM(units) AS units, SUM(cost) AS cost,
    SUM(reserved) AS reserved, SUM(doubted) AS doubted, SUM(imputed) AS imputed, SUM(avoided) AS avoided, SUM(hits) AS hits
FROM (
    SELECT {reserved_on} AS day, a.provider, l.sku, a.features, a.client,
        CASE WHEN a.state <> 'released' AND l.line = 0 THEN 1 ELSE 0 END AS calls,
        CASE WHEN a.state <> 'released' THEN 1 ELSE 0 END AS line_calls,
        CASE a.state WHEN 'settled' THEN l.units ELSE 0 END AS units,
        CASE a.state WHEN 'settled'
            THEN l.price_nanos + CASE l.line WHEN 0 THEN a.cost_nanos - a.price_nanos ELSE 0 END ELSE 0 END AS cost,
        CASE a.state WHEN 'reserved' THEN l.price_nanos ELSE 0 END AS reserved,
        CASE a.state WHEN 'unknown' THEN l.price_nanos ELSE 0 END AS doubted,
        0 AS imputed, 0 AS avoided, 0 AS hits
    FROM attempts a JOIN attempt_lines l ON l.attempt_id = a.id
    UNION ALL
    SELECT day, provider, sku, features, client, 0, 0, units, amount_nanos, 0, 0, 0, 0, 0 FROM corrections
    UNION ALL
    SELECT {used_on}, provider, sku, features, client,
        CASE kind WHEN 'in_house' THEN 1 ELSE 0 END, CASE kind WHEN 'in_house' THEN 1 ELSE 0 END,
        0, 0, 0, 0, imputed_nanos, avoided_nanos, CASE kind WHEN 'in_house' THEN 0 ELSE 1 END
    FROM usage_rows
    UNION ALL
    SELECT day, provider, sku, features, client, -calls, -line_calls,
        -billed_units, -cost_nanos, -reserved_nanos, -unknown_nanos, -imputed_nanos, -avoided_nanos, -hits
    FROM daily_rollups
) differences
GROUP BY day, provider, sku, features, client
HAVING SUM(calls) <> 0 OR SUM(line_calls) <> 0 OR SUM(units) <> 0 OR SUM(cost) <> 0 OR SUM(reserved) <> 0 OR SUM(doubted) <> 0
    OR SUM(imputed) <> 0 OR SUM(avoided) <> 0 OR SUM(hits) <> 0
"""

_DAY_OF = {
    "sqlite": "date({us} / 1000000, 'unixepoch')",
    "postgresql": "to_char(to_timestamp({us} / 1000000) AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
}


_WINDOW_DIFFERS = (
    "window {id} of budget {name} says settled {settled_nanos}, reserved {reserved_nanos}, unknown {unknown_nanos} nanos; "
    "its attempts and corrections say {settled}, {reserved}, {unknown}"
)


def sums(dialect: str) -> list[tuple[str, str]]:
    """Queries for one database, each with the sentence for a row that it finds."""
    day_of = _DAY_OF[dialect]
    rollup_is_rows = _ROLLUP_IS_ROWS.format(reserved_on=day_of.format(us="a.reserved_at_us"), used_on=day_of.format(us="at_us"))
    return [
        (_STATE_IS_ENTRY, "attempt {id} is {state}, and no entry says the same"),
        (_ENTRY_IS_STATE, "attempt {id} is {state}, and an entry says {kind}"),
        (_CORRECTION_IS_ENTRY, "correction {id} of {amount_nanos} nanos has no entry"),
        (_ATTEMPT_IS_LINES, "attempt {id} has the price {price_nanos}, and its lines {lines} nanos"),
        (_WINDOW_IS_ATTEMPTS, _WINDOW_DIFFERS),
        (
            _WINDOW_IS_IN_LIMIT,
            "window {id} of budget {name} has committed {committed} of {limit_nanos} nanos, of which {excess_nanos} explain themselves",
        ),
        (_COUNTER_IS_LINES, "counter {id} of {provider}, {tier_group}, {month} says {units} units; its attempts say {lines}"),
        (
            rollup_is_rows,
            "the daily sum of {day}, {provider}, {sku}, {features}, {client} differs from its rows by {cost} nanos and {calls} calls",
        ),
    ]
