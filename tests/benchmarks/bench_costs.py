"""Reports and their rows over a large ledger: `python -m tests.benchmarks.bench_costs [ROWS]` (ten million by default; needs 6 GB of disk).

pages    every report, and pages of rows: the first, one in the middle, rare clients and rare tags (promise: < 1 s each)
streams  a million rows as CSV, FOCUS and Parquet: peak memory beside that of a day's rows (promise: the same)
"""

import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

from sqlalchemy import text

from cost.database import open_database, read_snapshot
from cost.focus import COLUMNS, NUMBERS, focus_rows
from cost.ledger import CostFilter, all_entries, cost_rows, entries_page
from cost.parquet import parquet_pieces
from gateway.cost_columns import ENTRY_KEYS, ENTRY_NUMBERS, SUMS, entry_cells
from gateway.tables import csv_lines
from tests.benchmarks.bench_ledger import fresh, tell
from tests.cost.stores import ROOT

FIRST, LAST = date(2026, 11, 1), date(2026, 11, 30)
NOVEMBER = {"first": FIRST, "last": LAST}
ROUNDS = 3

_DAY_US = 86_400_000_000
_NOVEMBER_US = 1_793_491_200_000_000
_INDEXES = {
    "attempts_of_request": "attempts (request_id)",
    "attempts_by_time": "attempts (reserved_at_us, id)",
    "attempts_by_tags": "attempts (tags, reserved_at_us, id)",
    "attempts_by_owner": "attempts (provider, client, features, reserved_at_us, id)",
}
_GENERATE = [
    "INSERT INTO unit_counters (id, provider, account, region, tier_group, month) VALUES (1, 'rekognition', 'all', 'x', 'x', '2026-11')",
    # One call in 100,001 is of a rare client, one in 77,777 has a rare tag.
    f"""
    INSERT INTO attempts (id, request_id, client, tags, provider, features, state, price_nanos, cost_nanos, outcome, reserved_at_us,
        deadline_at_us, ended_at_us)
    WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :rows)
    SELECT printf('%032x', i), printf('%x', i), CASE WHEN i % 100001 = 0 THEN 'rare' ELSE 'client-' || (i % 17) END,
        CASE WHEN i % 77777 = 0 THEN ',team:rare,' WHEN i % 4 = 0 THEN ',' ELSE ',team:t' || (i % 9) || ',' END,
        CASE i % 3 WHEN 0 THEN 'rekognition' ELSE 'google_vision' END, CASE i % 5 WHEN 0 THEN 'text' ELSE 'objects' END, 'settled',
        1000000 + i % 5, 1000000 + i % 5, 'answered', {_NOVEMBER_US} + i * (30 * {_DAY_US} / :rows), 0, 0 FROM n
    """,
    """
    INSERT INTO attempt_lines (attempt_id, line, sku, units, price_nanos, list_price_nanos, price_version, counter_id)
    SELECT id, 0, CASE features WHEN 'text' THEN 'DetectText' ELSE 'DetectLabels' END, 1, price_nanos, price_nanos, 'x', 1 FROM attempts
    """,
    """
    INSERT INTO daily_tag_rollups (day, provider, sku, features, client, tags, calls, line_calls, billed_units, cost_nanos)
    SELECT date(reserved_at_us / 1000000, 'unixepoch'), provider, CASE features WHEN 'text' THEN 'DetectText' ELSE 'DetectLabels' END,
        features, client, tags, count(*), count(*), count(*), sum(cost_nanos)
    FROM attempts GROUP BY 1, 2, 3, 4, 5, 6
    """,
    """
    INSERT INTO daily_rollups (day, provider, sku, features, client, calls, line_calls, billed_units, cost_nanos)
    SELECT day, provider, sku, features, client, sum(calls), sum(line_calls), sum(billed_units), sum(cost_nanos)
    FROM daily_tag_rollups GROUP BY 1, 2, 3, 4, 5
    """,
]
REPORTS = ["", "provider,day", "client", "tag:team", "day,provider,sku,feature,client,tag:team"]
FILTERS = {
    "all": {},
    "a client": {"client": "client-3"},
    "a rare client": {"client": "rare"},
    "a rare tag": {"tags": {"team": "rare"}},
    "no tag": {"tags": {"team": ""}},
    "a SKU": {"sku": "DetectText"},
    "a day and provider": {"provider": "rekognition", "first": date(2026, 11, 9), "last": date(2026, 11, 9)},
    "nobody": {"client": "nobody"},
}


def generate(engine, rows):
    """By the database itself; daily sums by one query, as the ledger would have kept them."""
    with engine.connect() as connection:
        cursor = connection.connection.cursor()
        cursor.execute("PRAGMA synchronous=OFF")
        for name in _INDEXES:
            connection.execute(text(f"DROP INDEX {name}"))
        for statement in _GENERATE:
            connection.execute(text(statement), {"rows": rows} if ":rows" in statement else {})
        for name, columns in _INDEXES.items():
            connection.execute(text(f"CREATE INDEX {name} ON {columns}"))
        connection.commit()


def median_ms(engine, read):
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        with read_snapshot(engine) as connection:
            found = read(connection)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds) * 1e3, found


def bench_pages(engine):
    slowest = 0.0
    for words in REPORTS:
        group_by = [word for word in words.split(",") if word]
        took, found = median_ms(engine, lambda connection, by=group_by: list(cost_rows(connection, CostFilter(**NOVEMBER), by)))
        slowest = max(slowest, took)
        tell(f"report by {words or 'nothing':45} {took:8.1f} ms  {len(found)} rows")
    middle = None
    for name, more in FILTERS.items():
        where = CostFilter(**(NOVEMBER | more))
        took, page = median_ms(engine, lambda connection, where=where: entries_page(connection, where))
        slowest = max(slowest, took)
        tell(f"rows of {name:47} {took:8.1f} ms  {len(page.entries)} rows")
    with read_snapshot(engine) as connection:
        half = CostFilter(first=FIRST, last=FIRST + timedelta(days=14))
        middle = entries_page(connection, half, limit=1).next
    took, page = median_ms(engine, lambda connection: entries_page(connection, CostFilter(**NOVEMBER), after=middle))
    tell(f"rows from the middle on {'':31} {took:8.1f} ms  {len(page.entries)} rows")
    tell(f"slowest {max(slowest, took):.0f} ms (promise 1000 ms)")


def one_stream(url, form, rows):
    """A child of `bench_streams`: streams so many rows, and says how many bytes and how much memory."""
    engine = open_database(url)
    days = max(1, round(30 * int(rows) / total_rows(engine)))
    where = CostFilter(first=FIRST, last=FIRST + timedelta(days=days - 1))
    start, size, count = time.perf_counter(), 0, 0
    with read_snapshot(engine) as connection:
        entries = counted = CountedRows(all_entries(connection, where))
        if form == "csv":
            pieces = csv_lines((*ENTRY_KEYS, *SUMS), map(entry_cells, entries), ENTRY_NUMBERS)
        elif form == "focus":
            pieces = csv_lines(COLUMNS, (list(row.values()) for row in focus_rows(entries, {})), NUMBERS)
        else:
            pieces = parquet_pieces(focus_rows(entries, {}))
        for piece in pieces:
            size += len(piece)
        count = counted.count
    json.dump([count, size, time.perf_counter() - start, peak_mib()], sys.stdout)


def peak_mib():
    """Of this process alone: the kernel's `ru_maxrss` keeps that of the parent it was forked from."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) >> 10


class CountedRows:
    def __init__(self, rows):
        self._rows, self.count = rows, 0

    def __iter__(self):
        for row in self._rows:
            self.count += 1
            yield row


def total_rows(engine):
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT sum(calls) FROM daily_rollups")).scalar_one())


def bench_streams(url):
    for form in ("csv", "focus", "parquet"):
        memory = {}
        for rows in (50_000, 1_000_000):
            command = [sys.executable, "-m", "tests.benchmarks.bench_costs", "one_stream", url, form, str(rows)]
            count, size, seconds, memory[rows] = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
            tell(f"{form:8} {count:8} rows {size >> 20:4} MiB {seconds:6.1f} s  peak {memory[rows]} MiB")
        tell(f"{form:8} memory of the longer stream beside the shorter: {memory[1_000_000] / memory[50_000]:.2f}x (promise 1x)")


def main(rows):
    with tempfile.TemporaryDirectory() as folder:
        engine = fresh(folder)
        generate(engine, rows)
        tell(f"{rows} calls, {Path(folder, 'ledger.db').stat().st_size >> 20} MiB")
        bench_pages(engine)
        engine.dispose()
        bench_streams(f"sqlite:///{folder}/ledger.db")


if __name__ == "__main__":
    if sys.argv[1:2] == ["one_stream"]:
        one_stream(*sys.argv[2:])
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 10_000_000)
