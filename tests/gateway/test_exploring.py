import time

import pytest

from cost.money import Money
from gateway.exploring import CLIENT, Explorer
from providers.errors import ProviderFailed
from tests.gateway.toys import Toy, ask, raises, sleeps
from tests.waiting import until

TENTH = Money.usd("0.001")


@pytest.fixture
def gateway(toybox):
    """A dispatcher that explores every picture, and its explorer."""
    made = []

    def make(*toys, share=1.0, usd="1"):
        dispatcher = toybox.dispatcher(*toys)
        behind = toybox.behind(*toys)
        explorer = Explorer(behind.lines, toybox.ledgers[-1], toybox.comparisons, share, Money.usd(usd))
        dispatcher._explorer = explorer
        made.append((explorer, behind))
        return dispatcher, explorer

    yield make
    for explorer, behind in made:
        explorer.close()
        for line in behind.lines.values():
            line.threads.close()


def records(toybox, count):
    def found():
        toybox.comparisons.flush()
        known = toybox.comparisons.read()
        return known if len(known) >= count else None

    return until(found)


def test_a_picture_is_shown_to_the_others_after_its_answer(toybox, gateway):
    local, cloud = Toy("local"), Toy("rekognition", sleeps(0.3))
    dispatcher, _ = gateway(local, cloud)
    outcome = ask(dispatcher)
    assert (outcome.provider, outcome.cost, len(outcome.attempts)) == ("local", Money(0), 1)
    assert outcome.latency_ms < 300, "nobody waits for it"
    [record] = records(toybox, 1)
    assert (record.origin, set(record.replies), record.request_id) == ("exploration", {"local", "rekognition"}, outcome.id)
    assert record.replies["rekognition"].price == TENTH


def test_its_money_is_in_the_ledger_under_its_own_name_and_ends_at_its_own_cap(toybox, gateway):
    local, cloud = Toy("local"), Toy("rekognition")
    dispatcher, explorer = gateway(local, cloud, usd="0.002")
    for k in range(5):
        ask(dispatcher)
        if k < 2:
            records(toybox, k + 1)
    explorer.close()
    [status] = toybox.ledgers[-1].budgets()
    assert (status.budget.name, status.committed) == (CLIENT, Money.usd("0.002"))
    assert cloud.asked == 2


def test_a_cap_that_somebody_has_ended_is_set_again_before_more_is_spent(toybox, gateway):
    dispatcher, explorer = gateway(Toy("local"), Toy("rekognition"), usd="0.002")
    ask(dispatcher)
    records(toybox, 1)
    toybox.ledgers[-1].delete_budget(CLIENT)
    ask(dispatcher)
    records(toybox, 2)
    ask(dispatcher)
    explorer.close()
    [status] = toybox.ledgers[-1].budgets()
    assert (status.budget.limit, status.committed) == (Money.usd("0.002"), Money.usd("0.002"))


def test_of_a_share_of_the_pictures_only(toybox, gateway):
    dispatcher, explorer = gateway(Toy("local"), Toy("rekognition"), share=0.25)
    chances = iter([0.9, 0.1, 0.3, 0.26])
    explorer.chance = lambda: next(chances)
    for _ in range(4):
        ask(dispatcher)
    explorer.close()
    assert len(records(toybox, 1)) == 1


def test_a_client_that_names_its_providers_is_not_shown_to_others(toybox, gateway):
    cloud = Toy("rekognition")
    dispatcher, explorer = gateway(Toy("local"), cloud)
    ask(dispatcher, providers="local")
    explorer.close()
    assert cloud.asked == 0


def test_a_dry_run_is_not_explored(toybox, gateway):
    cloud = Toy("rekognition")
    dispatcher, explorer = gateway(Toy("local"), cloud)
    ask(dispatcher, dry_run=True)
    explorer.close()
    assert cloud.asked == 0


def test_who_fails_is_left_out_and_the_rest_is_kept(toybox, gateway):
    dispatcher, _ = gateway(Toy("local"), Toy("rekognition", raises(ProviderFailed("500"))), Toy("google_vision"))
    ask(dispatcher)
    [record] = records(toybox, 1)
    assert set(record.replies) == {"local", "google_vision"}


def test_more_than_it_can_ask_at_a_time_is_not_explored_and_nobody_waits(toybox, gateway):
    cloud = Toy("rekognition", sleeps(0.5))
    dispatcher, explorer = gateway(Toy("local"), cloud)
    started = time.monotonic()
    for _ in range(12):
        ask(dispatcher)
    assert time.monotonic() - started < 5.0
    explorer.close()
    assert cloud.asked < 12
