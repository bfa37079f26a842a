import math

import numpy as np
import pytest

from cost.money import Money
from cost.pacing import Pacer, Traffic

PRICE = Money.usd("0.001")
HOURS = 30 * 24


def curve(gains):
    """What a policy knows: which multiplier spends how many dollars a picture, when gains are as they were."""
    ascending = np.sort(gains)

    def multiplier_for(usd_per_picture):
        share = min(max(usd_per_picture / 0.001, 0.0), 1.0)
        return max(np.quantile(ascending, 1.0 - share).item(), 0.0) / 0.001

    return multiplier_for


def waves(surge_at=None):
    """(HOURS,) pictures: quiet nights, weak weekends, and two days of threefold traffic."""
    hours = np.arange(HOURS)
    pictures = 30 * (1 + 0.7 * np.sin(2 * np.pi * (hours % 24) / 24)) * np.where(hours // 24 % 7 >= 5, 0.5, 1.0)
    if surge_at is not None:
        pictures[surge_at : surge_at + 48] *= 3
    return pictures.astype(np.int64)


def month(pictures, limit, *, known_gains=None, traffic=Traffic(), seed=0):  # noqa: B008 immutable
    """One month, paced by the hour: (money spent an hour, gain bought, gain that hindsight would have bought)."""
    rng = np.random.default_rng(seed)
    gains = [rng.beta(1, 4, size=n) for n in pictures]
    pacer = Pacer(curve(rng.beta(1, 4, size=5000) if known_gains is None else known_gains))
    spent, hourly, bought = Money(0), [], 0.0
    for hour, now in enumerate(gains):
        seen = pictures[max(hour - 168, 0) : hour].sum()
        ahead = traffic.ahead(max(seen, 1), max(hour - 168, 0), hour, HOURS) if hour else float(pictures[0] * HOURS)
        multiplier = pacer.plan(limit - spent, ahead)
        before = spent
        for gain in now:
            if gain >= multiplier * 0.001 and spent + PRICE <= limit:
                spent += PRICE
                bought += gain
        pacer.spent(spent - before, len(now))
        hourly.append((spent - before).nanos)
    most = np.sort(np.concatenate(gains))[::-1][: limit.nanos // PRICE.nanos].sum()
    return np.array(hourly), bought, most.item()


@pytest.mark.parametrize("surge_at", [None, 5 * 24, 15 * 24, 26 * 24])
def test_a_month_is_spent_to_within_two_percent_and_never_over(surge_at):
    limit = Money.usd("5")
    pictures = waves(surge_at)
    hourly, bought, most = month(pictures, limit)
    assert 0.98 * limit.nanos <= hourly.sum() <= limit.nanos
    assert bought >= 0.97 * most, "of what an oracle with hindsight would have bought"


def test_there_is_no_cliff_and_no_hoard():
    hourly, _, _ = month(waves(), Money.usd("5"))
    weeks = hourly[: 28 * 24].reshape(4, -1).sum(axis=1)
    assert weeks.min() > 0.7 * weeks.max()


def test_a_policy_that_misjudges_its_own_spend_is_set_right():
    limit = Money.usd("5")
    timid = np.random.default_rng(1).beta(1, 8, size=5000)  # gains are far greater than it was fitted on
    hourly, bought, most = month(waves(), limit, known_gains=timid)
    assert 0.98 * limit.nanos <= hourly.sum() <= limit.nanos
    assert bought >= 0.95 * most


def test_more_money_than_pictures_is_left_over():
    hourly, _, _ = month(waves(), Money.usd("1000"))
    assert hourly.sum() >= 0.999 * PRICE.nanos * waves().sum()


def test_without_money_the_multiplier_is_as_great_as_the_policy_knows():
    pacer = Pacer(curve(np.linspace(0, 1, 100)))
    assert pacer.plan(Money(0), 100) == pytest.approx(1000)
    assert pacer.plan(Money(-5), 100) == pytest.approx(1000)
    pacer.spent(Money(5), 10)
    assert pacer.plan(Money.usd("1"), 0.0) == 0.0


def test_traffic_knows_its_week():
    traffic = Traffic(tuple(float(hour == 3) for hour in range(168)))
    assert traffic.share(0, 168) == 1.0
    assert traffic.share(3.25, 3.5) == 0.25
    assert traffic.share(160, 172) == 1.0
    assert traffic.ahead(100, 0, 168, 168 * 3) == 200
    assert math.isinf(traffic.ahead(100, 4, 5, 168))
