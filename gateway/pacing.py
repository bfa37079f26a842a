"""Keeps the paced budgets of this process up to date, and tells how they stand."""

from collections.abc import Callable
from typing import TypedDict

from sqlalchemy import Engine

from cost.every import Every
from cost.ledger import Ledger
from cost.money import NANOS_PER_USD, Money
from cost.paced_budgets import Multipliers, PacedBudgets
from gateway.monitoring.numbers import gauge

__all__ = ["Multipliers", "Pacing", "PacingNumbers"]

_EVERY_S = 2.0
MULTIPLIER = gauge("gateway_budget_multiplier", "Quality that a dollar of a paced budget must bring now.", "budget", across="mostrecent")
_NEVER = 1e9
"""A multiplier at which nothing is worth its price."""


class PacingNumbers(TypedDict):
    """How one paced budget stands: for `/metrics` and `GET /v1/budgets`."""

    budget: str
    multiplier: float
    remaining: Money
    aim_usd: float


class Pacing:
    """One a process, shared by its threads; `close` it."""

    def __init__(
        self, engine: Engine, ledger: Ledger, multiplier_for: Callable[[float], float], answer_value: Money, *, every_s: float = _EVERY_S
    ) -> None:
        """Look every `every_s` seconds. `answer_value` is what a good answer in place of a bad one is worth where no budget is paced."""
        usual = NANOS_PER_USD / answer_value.nanos if answer_value.nanos else _NEVER
        self.budgets = PacedBudgets(engine, ledger, multiplier_for, usual)
        self._told: set[str] = set()
        self._every = Every(every_s, self._plan, "pacing")
        self.refresh()

    def numbers(self) -> list[PacingNumbers]:
        """Of every paced budget, as of the last look; empty where none is paced."""
        return [
            PacingNumbers(budget=p.budget.name, multiplier=p.multiplier, remaining=p.remaining, aim_usd=p.aim_usd)
            for p in self.budgets.now_paced
        ]

    def refresh(self) -> None:
        """Look now. Never fails: while the database is away, multipliers stay, and no paid call is made anyway."""
        self._every.now()

    def close(self) -> None:
        """Write what was counted, and end."""
        self._every.close()
        self.refresh()

    def _plan(self) -> None:
        self.budgets.tick()
        now = {p.budget.name: p.multiplier for p in self.budgets.now_paced}
        for name in self._told - now.keys():
            MULTIPLIER.forget(budget=name)
        for name, multiplier in now.items():
            MULTIPLIER.set(multiplier, budget=name)
        self._told = set(now)
