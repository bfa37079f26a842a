"""Keeps the paced budgets of this process up to date, and tells how they stand."""

import logging
import threading
from collections.abc import Callable
from typing import TypedDict

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from cost.ledger import Ledger, LedgerUnavailable
from cost.money import NANOS_PER_USD, Money
from cost.paced_budgets import Multipliers, PacedBudgets
from gateway.monitoring.numbers import gauge

__all__ = ["Multipliers", "Pacing", "PacingNumbers"]

log = logging.getLogger(__name__)

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
        self._every_s = every_s
        self._told: set[str] = set()
        self._stopped = threading.Event()
        self.refresh()
        self._thread = threading.Thread(target=self._run, name="pacing", daemon=True)
        self._thread.start()

    def numbers(self) -> list[PacingNumbers]:
        """Of every paced budget, as of the last look; empty where none is paced."""
        return [
            PacingNumbers(budget=p.budget.name, multiplier=p.multiplier, remaining=p.remaining, aim_usd=p.aim_usd)
            for p in self.budgets.now_paced
        ]

    def refresh(self) -> None:
        """Look now. Never fails: while the database is away, multipliers stay, and no paid call is made anyway."""
        try:
            self.budgets.tick()
            self._tell()
        except (SQLAlchemyError, LedgerUnavailable) as error:
            log.debug("pacing.not_planned", extra={"error": type(error).__name__})

    def _tell(self) -> None:
        now = {p.budget.name: p.multiplier for p in self.budgets.now_paced}
        for name in self._told - now.keys():
            MULTIPLIER.forget(budget=name)
        for name, multiplier in now.items():
            MULTIPLIER.set(multiplier, budget=name)
        self._told = set(now)

    def close(self) -> None:
        """Write what was counted, and end."""
        self._stopped.set()
        self._thread.join()
        self.refresh()

    def _run(self) -> None:
        while not self._stopped.wait(self._every_s):
            self.refresh()
