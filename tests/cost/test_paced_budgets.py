import pytest

from cost.database import open_database
from cost.ledger import Budget
from cost.money import Money
from cost.paced_budgets import PacedBudgets, hourly_shape
from tests.cost.months import live_month
from tests.cost.sheets import hold


def multiplier_for(usd):
    return max(1000.0 * (1 - usd / 0.001), 0.0)


@pytest.fixture
def paced(engine, ledger):
    return PacedBudgets(engine, ledger, multiplier_for, usual=100.0)


def put(ledger, name="all", limit="1", scope="global", value="", pacing=True):
    ledger.put_budget(Budget(name, scope, value, "day", "UTC", Money.usd(limit), pacing=pacing))


def test_without_a_paced_budget_the_usual_multiplier_holds(ledger, paced):
    put(ledger, pacing=False)
    paced.tick()
    assert paced.multipliers("shop", {}).all == 100.0
    assert paced.now_paced == ()


def test_every_process_goes_by_the_same_plan(engine, ledger, paced):
    put(ledger, limit="0.0001")
    other = PacedBudgets(engine, ledger, lambda _: 5.0, usual=100.0)
    paced.tick()
    other.tick()
    assert other.multipliers("shop", {}).all == pytest.approx(paced.multipliers("shop", {}).all)


def test_less_money_for_more_pictures_asks_more_of_a_dollar(ledger, paced, clock):
    put(ledger, limit="0.1")
    paced.tick()
    for _ in range(200):
        paced.note("shop", {})
    clock.advance(hours=1)
    paced.tick()
    many = paced.multipliers("shop", {}).all
    put(ledger, limit="100")
    clock.advance(minutes=1)
    paced.tick()
    assert many > 900 > paced.multipliers("shop", {}).all


def test_a_budget_that_was_changed_is_planned_anew_at_once(ledger, paced):
    put(ledger, limit="0.0001")
    paced.tick()
    scarce = paced.multipliers("shop", {}).all
    put(ledger, limit="100")
    paced.tick()
    assert scarce > 900 > paced.multipliers("shop", {}).all


def test_the_pictures_of_all_processes_are_added_up(engine, ledger, paced, clock):
    put(ledger, limit="0.05")
    other = PacedBudgets(engine, ledger, multiplier_for, usual=100.0)
    paced.tick()
    other.tick()
    for process in (paced, other):
        for _ in range(50):
            process.note("shop", {})
    clock.advance(minutes=59)
    other.tick()
    paced.tick()
    clock.advance(minutes=1)
    paced.tick()
    pictures_a_day = 100 * 11  # twelve hours are left, and one has passed
    assert paced.now_paced[0].aim_usd == pytest.approx(0.05 / pictures_a_day, rel=0.2)


@pytest.mark.parametrize(
    ("scope", "value", "client", "tags", "applies"),
    [
        ("client", "shop", "shop", {}, True),
        ("client", "shop", "other", {}, False),
        ("tag", "team:a", "shop", {"team": "a"}, True),
        ("tag", "team:a", "shop", {"team": "b"}, False),
    ],
)
def test_a_budget_paces_its_own_scope_alone(ledger, paced, scope, value, client, tags, applies):
    put(ledger, scope=scope, value=value, limit="0")
    paced.tick()
    assert (paced.multipliers(client, tags).all == 1000.0) is applies


def test_a_providers_budget_paces_that_provider_alone(ledger, paced):
    put(ledger, scope="provider", value="google_vision", limit="0")
    paced.tick()
    asked = paced.multipliers("shop", {})
    assert (asked.of("google_vision"), asked.of("rekognition")) == (1000.0, 100.0)


def test_of_two_budgets_the_stricter_one_counts(ledger, paced):
    put(ledger, "rich", limit="1000")
    put(ledger, "poor", limit="0", scope="provider", value="rekognition")
    paced.tick()
    asked = paced.multipliers("shop", {})
    assert asked.of("rekognition") == 1000.0 > asked.all


def test_spending_more_than_was_aimed_at_is_answered_with_a_greater_multiplier(engine, ledger, paced, clock):
    put(ledger, limit="1")
    paced.tick()
    for _ in range(400):
        paced.note("shop", {})
    clock.advance(hours=1)
    paced.tick()
    before = paced.now_paced[0]
    for k in range(20):
        ledger.reserve(hold(request_id=f"r{k}"))
        paced.note("shop", {})
    clock.advance(minutes=1)
    paced.tick()
    assert paced.now_paced[0].multiplier >= before.multiplier
    assert paced.now_paced[0].remaining < before.remaining


def test_a_week_must_be_seen_before_its_shape_is_believed():
    assert set(hourly_shape({0: 5}, 0, 100)) == {1.0}
    monday = 4 * 24
    shape = hourly_shape({monday + 7 * 24 * week + 9: 70 for week in range(2)}, monday, monday + 2 * 168)
    assert max(range(168), key=lambda hour: shape[hour]) == 9
    assert min(shape) > 0.0


def test_a_budget_that_is_paced_no_more_is_left_alone(ledger, paced):
    put(ledger, limit="0")
    paced.tick()
    put(ledger, limit="0", pacing=False)
    paced.tick()
    assert paced.multipliers("shop", {}).all == 100.0


@pytest.mark.slow
@pytest.mark.parametrize("surge_at", [None, 5 * 24, 15 * 24, 26 * 24])
def test_a_month_of_waves_and_a_surge_is_spent_to_within_two_percent_and_never_over(sqlite_url, surge_at):
    engine, limit = open_database(sqlite_url), Money.usd("5")
    month = live_month(engine, limit, surge_at=surge_at)
    engine.dispose()
    assert 0.98 * 5.0 <= month.hourly_usd.sum() <= 5.0 + 1e-9
    assert month.bought >= 0.96 * month.with_hindsight
    weeks = month.hourly_usd[: 28 * 24].reshape(4, -1).sum(axis=1)
    assert surge_at or weeks.min() > 0.6 * weeks.max(), "no cliff and no hoard"
