"""The form of a budget: what was typed, what is wrong with it, and the budget it means."""

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import cast

from cost.ledger import BadBudget, Budget
from cost.ledger.budgets import check
from cost.ledger.terms import Scope, WhenExhausted
from cost.money import FREE, BadMoney, Money
from cost.windows import Period

FIELDS = ("name", "scope", "scope_value", "period", "timezone", "limit_usd", "when_exhausted", "pacing", "alert_at")

EMPTY = dict.fromkeys(FIELDS, "") | {
    "scope": "global",
    "period": "month",
    "timezone": "UTC",
    "when_exhausted": "degrade",
    "alert_at": "80, 95",
}
"""What a new budget's form shows at first."""


def typed_of(budget: Budget) -> dict[str, str]:
    """A budget as its form shows it."""
    return {
        "name": budget.name,
        "scope": budget.scope,
        "scope_value": budget.scope_value,
        "period": budget.period,
        "timezone": budget.timezone,
        "limit_usd": str(budget.limit),
        "when_exhausted": budget.when_exhausted,
        "pacing": "on" if budget.pacing else "",
        "alert_at": ", ".join(f"{fraction * 100:f}".rstrip("0").rstrip(".") for fraction in budget.alert_at),
    }


def read_form(form: Mapping[str, str]) -> tuple[dict[str, str], Budget | None, dict[str, str]]:
    """What was typed; the budget, or None; and the problems by field, all at once."""
    typed = {name: form.get(name, "").strip() for name in FIELDS}
    problems: dict[str, str] = {}
    limit, alerts = _limit(typed["limit_usd"], problems), _alerts(typed["alert_at"], problems)
    budget = Budget(  # whose words are checked below, with everything else
        name=typed["name"],
        scope=cast("Scope", typed["scope"]),
        scope_value="" if typed["scope"] == "global" else typed["scope_value"],
        period=cast("Period", typed["period"]),
        timezone=typed["timezone"],
        limit=limit,
        when_exhausted=cast("WhenExhausted", typed["when_exhausted"]),
        pacing=typed["pacing"] == "on",
        alert_at=alerts,
    )
    try:
        check(budget)
    except BadBudget as error:
        problems = {**error.problems, **problems}
    return typed, None if problems else budget, problems


def _limit(text: str, problems: dict[str, str]) -> Money:
    try:
        return Money.usd(text.removeprefix("$").strip())
    except BadMoney:
        problems["limit_usd"] = "an amount such as 250.00, with a point"
        return FREE


def _alerts(text: str, problems: dict[str, str]) -> tuple[Decimal, ...]:
    try:
        return tuple(sorted({Decimal(part) / 100 for part in re.split(r"[\s,;%]+", text) if part}))
    except InvalidOperation:
        problems["alert_at"] = "percentages such as 80, 95"
        return ()
