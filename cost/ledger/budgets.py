"""Budgets as a resource: put, delete, read. A budget counts everything since its window began, also from before it was made."""

import re
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, bindparam, func, insert, literal, select, true, update

from cost.ledger.book import Book
from cost.ledger.budget_changes import note
from cost.ledger.catalog import budget_of
from cost.ledger.schema import THRESHOLD_CHARS_MAX, attempt_windows, attempts, budget_windows, budgets, budgets_version, corrections
from cost.ledger.terms import TAG_NAME_CHARS_MAX, TAG_VALUE_CHARS_MAX, Budget, BudgetStatus
from cost.ledger.times import from_us, to_us
from cost.money import FREE, Money
from cost.windows import PERIODS, UnknownTimeZone, Window, window_of, zone

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_SCOPES = ("global", "provider", "client", "tag")
_WHEN_EXHAUSTED = ("degrade", "reject")
_TAG = re.compile(rf"[^:,]{{1,{TAG_NAME_CHARS_MAX}}}:[^,]{{0,{TAG_VALUE_CHARS_MAX}}}")
_SCOPE_CHARS_MAX = TAG_NAME_CHARS_MAX + 1 + TAG_VALUE_CHARS_MAX


class BadBudget(ValueError):
    """A budget that can't be.

    Attributes:
        problems: by the contract's parameter: `limit_usd`, `timezone`, …
    """

    def __init__(self, problems: dict[str, str]) -> None:
        super().__init__("; ".join(f"{parameter}: {problem}" for parameter, problem in problems.items()))
        self.problems = problems


def check(budget: Budget) -> None:
    """Raises `BadBudget` with every problem at once."""
    problems = {}
    if not _NAME.fullmatch(budget.name):
        problems["name"] = "1 to 64 of letters, digits, '.', '_' and '-', the first a letter or digit"
    if problem := _problem_of_scope(budget.scope, budget.scope_value):
        problems["scope"] = problem
    if budget.period not in (*PERIODS, "lifetime"):
        problems["period"] = f"one of {', '.join(PERIODS)}"
    try:
        zone(budget.timezone)
    except UnknownTimeZone as error:
        problems["timezone"] = str(error)
    if budget.limit < FREE:
        problems["limit_usd"] = "not less than 0"
    if budget.when_exhausted not in _WHEN_EXHAUSTED:
        problems["when_exhausted"] = f"one of {', '.join(_WHEN_EXHAUSTED)}"
    if not all(
        fraction.is_finite() and 0 < fraction <= 1 and len(_threshold(fraction)) <= THRESHOLD_CHARS_MAX for fraction in budget.alert_at
    ):
        problems["alert_at"] = f"fractions of the limit, more than 0 and at most 1, with up to {THRESHOLD_CHARS_MAX - 2} decimal places"
    if problems:
        raise BadBudget(problems)


def _problem_of_scope(scope: str, value: str) -> str:
    """What is wrong with it; empty where nothing is."""
    if scope not in _SCOPES or bool(value) != (scope != "global"):
        return "{}, or one of provider, client, tag with a value"
    if scope == "tag" and not _TAG.fullmatch(value):
        return f"a tag is key:value, of up to {TAG_NAME_CHARS_MAX} and {TAG_VALUE_CHARS_MAX} characters, with no comma"
    if len(value) > _SCOPE_CHARS_MAX or not value.isprintable():
        return f"up to {_SCOPE_CHARS_MAX} printable characters"
    return ""


_IN_FORCE = select(budgets).where(budgets.c.retired_at_us.is_(None))
_BY_NAME = _IN_FORCE.where(budgets.c.name == bindparam("name"))
_BUMP = update(budgets_version).values(version=budgets_version.c.version + 1)
_RETIRE = update(budgets).where(budgets.c.id == bindparam("budget_id")).values(retired_at_us=bindparam("now_us"))


def put(book: Book, budget: Budget, by: str) -> None:
    """Make a budget or change it, and keep who did. One that changes what it counts is a new one under the old name. Needs to be alone.

    A limit below what its window has committed admits nothing more and takes nothing back.
    """
    row = book.connection.execute(_BY_NAME, {"name": budget.name}).one_or_none()
    if row is None:
        _make(book, budget)
    elif _what_it_counts(budget_of(row)) != _what_it_counts(budget):
        book.connection.execute(_RETIRE, {"budget_id": row.id, "now_us": book.now_us})
        _make(book, budget)
    else:
        _change(book, row, budget)
    if row is None or budget_of(row) != budget:
        note(book, by, "made" if row is None else "changed", budget)
    book.connection.execute(_BUMP)


def retire(book: Book, name: str, by: str) -> bool:
    """End a budget; False: there is none of that name. What it counted stays on record. Needs to be alone."""
    row = book.connection.execute(_BY_NAME, {"name": name}).one_or_none()
    if row is None:
        return False
    book.connection.execute(_RETIRE, {"budget_id": row.id, "now_us": book.now_us})
    note(book, by, "ended", budget_of(row))
    book.connection.execute(_BUMP)
    return True


def statuses(connection: Connection, now_us: int) -> list[BudgetStatus]:
    """Every budget in force with its present window, by name."""
    joined = budgets.outerjoin(
        budget_windows,
        and_(budget_windows.c.budget_id == budgets.c.id, budget_windows.c.starts_at_us <= now_us, budget_windows.c.ends_at_us > now_us),
    )
    sums = (budget_windows.c.settled_nanos, budget_windows.c.reserved_nanos, budget_windows.c.unknown_nanos)
    rows = connection.execute(select(budgets, *sums).select_from(joined).where(budgets.c.retired_at_us.is_(None)).order_by(budgets.c.name))
    return [_status(row, now_us) for row in rows]


def _status(row: Row[Any], now_us: int) -> BudgetStatus:
    budget = budget_of(row)
    sums = (Money(nanos or 0) for nanos in (row.settled_nanos, row.reserved_nanos, row.unknown_nanos))
    return BudgetStatus(budget, window_of(budget.period, budget.timezone, from_us(now_us)), *sums)


def _what_it_counts(budget: Budget) -> tuple[str, ...]:
    return budget.scope, budget.scope_value, budget.period, budget.timezone


def _terms(budget: Budget) -> dict[str, Any]:
    return {
        "limit_nanos": budget.limit.nanos,
        "when_exhausted": budget.when_exhausted,
        "pacing": budget.pacing,
        "alert_at": ",".join(map(_threshold, sorted(set(budget.alert_at)))),
    }


def _threshold(fraction: Decimal) -> str:
    """The same text for the same number: 0.80 is 0.8."""
    return str(fraction.normalize())


def _change(book: Book, row: Row[Any], budget: Budget) -> None:
    book.connection.execute(update(budgets).where(budgets.c.id == row.id).values(_terms(budget)))
    open_windows = select(budget_windows.c.id).where(budget_windows.c.budget_id == row.id, budget_windows.c.ends_at_us > book.now_us)
    ids = list(book.connection.execute(open_windows).scalars())
    book.read_windows(ids)
    for id_ in ids:
        window = book.windows[id_]
        excess = max(0, window.committed_nanos - budget.limit.nanos)
        book.connection.execute(
            update(budget_windows).where(budget_windows.c.id == id_).values(limit_nanos=budget.limit.nanos, excess_nanos=excess)
        )


def _make(book: Book, budget: Budget) -> None:
    run = book.connection.execute
    row: dict[str, Any] = {"name": budget.name, "scope": budget.scope, "scope_value": budget.scope_value, "period": budget.period}
    row |= {"timezone": budget.timezone, "created_at_us": book.now_us, **_terms(budget)}
    budget_id = run(insert(budgets).returning(budgets.c.id), row).scalar_one()
    window = window_of(budget.period, budget.timezone, from_us(book.now_us))
    counted = and_(attempts.c.reserved_at_us >= to_us(window.starts_at), _in_scope(budget))
    by_state = {state: int(nanos) for state, nanos in run(_sums_by_state(counted))}
    opening = by_state.get("settled", 0) + _corrected(book.connection, budget, window, counted)
    reserved, unknown = by_state.get("reserved", 0), by_state.get("unknown", 0)
    sums = {"opening_nanos": opening, "settled_nanos": opening, "reserved_nanos": reserved, "unknown_nanos": unknown}
    edges = {"starts_at_us": to_us(window.starts_at), "ends_at_us": to_us(window.ends_at)}
    excess = max(0, opening + reserved + unknown - budget.limit.nanos)
    values = {"budget_id": budget_id, "limit_nanos": budget.limit.nanos, "excess_nanos": excess, **edges, **sums}
    window_id = run(insert(budget_windows).returning(budget_windows.c.id), values).scalar_one()
    still_open = select(attempts.c.id, literal(window_id), true()).where(counted, attempts.c.state.in_(("reserved", "unknown")))
    run(insert(attempt_windows).from_select(["attempt_id", "window_id", "joined_later"], still_open))


def _sums_by_state(counted: ColumnElement[bool]) -> Any:
    nanos = func.sum(func.coalesce(attempts.c.cost_nanos, attempts.c.price_nanos))
    return select(attempts.c.state, nanos).where(counted, attempts.c.state != "released").group_by(attempts.c.state)


def _corrected(connection: Connection, budget: Budget, window: Window, counted: ColumnElement[bool]) -> int:
    """Corrections of those attempts, and of this window's invoices where they belong to the scope."""
    of_attempts = corrections.c.attempt_id.in_(select(attempts.c.id).where(counted))
    of_invoices = and_(corrections.c.attempt_id.is_(None), corrections.c.at_us >= to_us(window.starts_at))
    total = 0
    if budget.scope in ("global", "provider"):
        scope = true() if budget.scope == "global" else corrections.c.provider == budget.scope_value
        total += int(connection.execute(select(func.sum(corrections.c.amount_nanos)).where(of_invoices, scope)).scalar() or 0)
    return total + int(connection.execute(select(func.sum(corrections.c.amount_nanos)).where(of_attempts)).scalar() or 0)


def _in_scope(budget: Budget) -> ColumnElement[bool]:
    if budget.scope == "global":
        return true()
    if budget.scope == "provider":
        return attempts.c.provider == budget.scope_value
    if budget.scope == "client":
        return attempts.c.client == budget.scope_value
    # Not LIKE, which in SQLite takes A for a.
    return func.replace(attempts.c.tags, f",{budget.scope_value},", "") != attempts.c.tags
