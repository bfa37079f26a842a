"""A simulated month of traffic under one paced budget: daily and weekly waves, and a surge that nobody announced."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from cost.ledger import Budget, BudgetStatus
from cost.money import Money
from cost.paced_budgets import PacedBudgets
from cost.windows import window_of

PRICE = Money.usd("0.001")
START = datetime(2026, 11, 1, tzinfo=UTC)
HOURS = 30 * 24


@dataclass
class Purse:
    """What `PacedBudgets` asks of a ledger, without its millions of rows: a hard budget, and a clock."""

    limit: Money
    spent: Money = field(default=Money(0))
    at: datetime = START

    def now(self) -> datetime:
        return self.at

    def budgets(self) -> list[BudgetStatus]:
        budget = Budget("month", "global", "", "month", "UTC", self.limit, pacing=True)
        return [BudgetStatus(budget, window_of("month", "UTC", self.at), self.spent, Money(0), Money(0))]


@dataclass(frozen=True)
class Month:
    """Dollars by the hour, what they bought, and what they would have bought with hindsight."""

    hourly_usd: np.ndarray
    bought: float
    with_hindsight: float


def waves(surge_at: int | None = None, mean: float = 30) -> np.ndarray:
    """(HOURS,) pictures: quiet nights, weak weekends, and two days of threefold traffic."""
    hours = np.arange(HOURS)
    pictures = mean * (1 + 0.7 * np.sin(2 * np.pi * (hours % 24) / 24)) * np.where(hours // 24 % 7 >= 5, 0.5, 1.0)
    if surge_at is not None:
        pictures[surge_at : surge_at + 48] *= 3
    return pictures.astype(np.int64)


def known(gains: np.ndarray):
    """What a policy knows: which multiplier spends how many dollars a picture, when gains are as they were."""
    ascending = np.sort(gains)

    def multiplier_for(usd_per_picture: float) -> float:
        share = min(max(usd_per_picture / 0.001, 0.0), 1.0)
        return max(np.quantile(ascending, 1.0 - share).item(), 0.0) / 0.001

    return multiplier_for


def live_month(engine, limit: Money, *, surge_at: int | None = None, processes: int = 2, seed: int = 0) -> Month:
    """Lead a month's pictures through as many processes as share a database, hour by hour; each picture's gain is drawn by chance."""
    rng = np.random.default_rng(seed)
    purse, policy = Purse(limit), known(rng.beta(1, 4, size=5000))
    gateways = [PacedBudgets(engine, purse, policy, usual=100.0) for _ in range(processes)]
    hourly, bought, all_gains = [], 0.0, []
    for gateway in gateways:
        gateway.tick()
    for pictures in waves(surge_at):
        gains, before = rng.beta(1, 4, size=pictures), purse.spent
        for k, gain in enumerate(gains):
            gateway = gateways[k % processes]
            gateway.note("shop", {})
            if gain >= gateway.multipliers("shop", {}).all * 0.001 and purse.spent + PRICE <= limit:
                purse.spent += PRICE
                bought += gain
        purse.at += timedelta(hours=1, seconds=-1)
        gateways[1 % processes].tick()
        purse.at += timedelta(seconds=1)
        for gateway in gateways:
            gateway.tick()
        hourly.append((purse.spent - before).nanos / 1e9)
        all_gains.append(gains)
    best = np.sort(np.concatenate(all_gains))[::-1][: limit.nanos // PRICE.nanos].sum()
    return Month(np.array(hourly), bought, best.item())
