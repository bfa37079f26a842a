from datetime import UTC, datetime

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from cost.comparisons import Comparison, Found, Reply
from cost.escalation.fit import fit
from cost.escalation.shelf import PolicyShelf
from cost.ledger import Budget, LedgerUnavailable
from cost.money import Money
from cost.pacing_schema import paced_traffic
from cost.record_lines import records_of
from gateway.policies import Policies
from providers.contract import BoundingBox
from providers.errors import ProviderFailed
from tests.gateway.toys import Toy, ask, raises

TENTH = Money.usd("0.001")


@pytest.fixture
def local():
    """Its answers look weak."""
    toy = Toy("local")
    toy.confidence = 0.55
    return toy


@pytest.fixture
def cloud():
    toy = Toy("rekognition")
    toy.label = "cat"
    return toy


def outcomes(outcome):
    return [(attempt.provider, attempt.outcome) for attempt in outcome.attempts]


def told(outcome):
    return {one.provider: (one.decision, one.reason) for one in outcome.considered}


def test_a_weak_answer_is_followed_by_one_that_is_worth_its_price(toybox, local, cloud):
    outcome = ask(toybox.dispatcher(local, cloud))
    assert outcomes(outcome) == [("local", "escalated"), ("rekognition", "answered")]
    assert (outcome.provider, outcome.model, outcome.cost) == ("rekognition", "rekognition 1", TENTH)
    assert [found.label for found in outcome.detections] == ["cat"]
    assert told(outcome)["rekognition"] == ("escalation", "expected_gain 0.25 worth 0.0025 USD")
    assert not outcome.degraded


def test_a_sure_answer_stands_and_the_reason_is_told(toybox, local, cloud):
    local.confidence = 0.78
    outcome = ask(toybox.dispatcher(local, cloud))
    assert outcomes(outcome) == [("local", "answered")]
    assert told(outcome)["rekognition"] == ("skipped", "not_worth_it: expected_gain 0.02 worth 0.0002 USD")


def test_nothing_found_is_weak_and_a_paid_answer_is_not_doubted(toybox, local, cloud):
    local.label = ""
    assert ask(toybox.dispatcher(local, cloud)).provider == "rekognition"
    cloud.label = ""
    other = Toy("google_vision")
    assert outcomes(ask(toybox.dispatcher(local, cloud, other))) == [("local", "escalated"), ("rekognition", "answered")]


@pytest.mark.parametrize("strategy", ["cheapest", "fastest", "best"])
def test_only_auto_escalates(toybox, local, cloud, strategy):
    assert len(ask(toybox.dispatcher(local, cloud), strategy=strategy).attempts) == 1


def test_never_past_max_cost(toybox, local, cloud):
    outcome = ask(toybox.dispatcher(local, cloud), max_cost=Money.usd("0.0009"))
    assert outcomes(outcome) == [("local", "answered")]
    assert told(outcome)["rekognition"] == ("skipped", "over_max_cost")


def test_never_where_its_usual_time_does_not_fit_what_is_left(toybox, local, cloud):
    dispatcher = toybox.dispatcher(local, cloud)
    for _ in range(20):
        dispatcher.lines["rekognition"].latency.record("rekognition:objects", 9_000)
    outcome = ask(dispatcher, deadline_ms=8_000)
    assert outcomes(outcome) == [("local", "answered")]


def test_a_late_second_answer_costs_the_client_no_deadline(toybox, local, cloud):
    cloud.behave = toybox.hang
    outcome = ask(toybox.dispatcher(local, cloud), deadline_ms=2_000)
    assert outcomes(outcome) == [("local", "escalated"), ("rekognition", "late")]
    assert outcome.provider == "local"


def test_a_second_that_fails_leaves_the_first_answer_or_a_third_one(toybox, local, cloud):
    cloud.behave = raises(ProviderFailed("500"))
    outcome = ask(toybox.dispatcher(local, cloud))
    assert (outcome.provider, outcomes(outcome)) == ("local", [("local", "escalated"), ("rekognition", "failed")])
    outcome = ask(toybox.dispatcher(local, cloud, Toy("google_vision")))
    assert outcome.provider == "google_vision"


@pytest.mark.parametrize("when_exhausted", ["degrade", "reject"])
def test_without_money_the_answer_in_hand_is_given_and_called_degraded(toybox, local, cloud, when_exhausted):
    dispatcher = toybox.dispatcher(local, cloud)
    toybox.ledgers[-1].put_budget(Budget("none", "global", "", "day", "UTC", Money(0), when_exhausted))
    outcome = ask(dispatcher)
    assert (outcome.provider, outcome.degraded) == ("local", True)
    assert told(outcome)["rekognition"][1].startswith("budget_exhausted")


def test_a_dry_run_asks_and_writes_nothing(toybox, local, cloud):
    outcome = ask(toybox.dispatcher(local, cloud), dry_run=True)
    assert (local.asked, cloud.asked, outcome.attempts) == (0, 0, ())
    toybox.comparisons.flush()
    assert toybox.comparisons.read() == []


def test_what_both_answered_is_kept_for_learning(toybox, local, cloud):
    outcome = ask(toybox.dispatcher(local, cloud))
    toybox.comparisons.flush()
    [record] = toybox.comparisons.read()
    assert (record.feature, record.origin, record.request_id) == ("objects", "escalation", outcome.id)
    assert record.digest == outcome.image.digest
    assert record.replies["local"].found == (Found("dog", 0.55, (0.1, 0.1, 0.5, 0.5)),)
    assert (record.replies["rekognition"].price, record.replies["rekognition"].model) == (TENTH, "rekognition 1")


def test_a_sure_answer_leaves_no_record(toybox, local, cloud):
    local.confidence = 0.95
    ask(toybox.dispatcher(local, cloud))
    toybox.comparisons.flush()
    assert toybox.comparisons.read() == []


def record_of(k):
    """The cloud is always right; the in-house model is right where it is sure."""
    box, wrong = (0.1, 0.1, 0.5, 0.5), (0.6, 0.6, 0.9, 0.9)
    right = k % 2 == 0
    replies = {
        "local": Reply((Found("dog", (0.7 if right else 0.5) + (k % 7) / 50, box if right else wrong),)),
        "rekognition": Reply((Found("dog", 0.9, box),), TENTH),
    }
    return Comparison(digest=f"{k:064x}", feature="objects", origin="compare", replies=replies, truth=(Found("dog", box=box),))


@pytest.fixture(scope="module")
def policy():
    return fit(records_of(record_of(k) for k in range(120)), {"local": 0.0, "rekognition": 0.001})


def test_a_learned_policy_is_used_from_the_moment_it_is_on_the_shelf_without_a_restart(toybox, local, cloud, policy):
    cloud.label = "dog"
    dispatcher = toybox.dispatcher(local, cloud, value="0.004")
    version = PolicyShelf(toybox.database).put("objects", policy)
    toybox.policies.refresh()
    weak = ask(dispatcher)
    assert weak.expected.policy == f"objects {version}"
    assert weak.expected.quality > 0.8
    assert outcomes(weak) == [("local", "escalated"), ("rekognition", "answered")]
    local.confidence = 0.78
    assert outcomes(ask(dispatcher)) == [("local", "answered")], "0.78 of this one is right, as it learned"


def test_the_policys_answer_is_given_with_boxes_in_one_place_combined(toybox, local, cloud, policy):
    cloud.label, cloud.box = "dog", BoundingBox(0.12, 0.1, 0.5, 0.5)
    dispatcher = toybox.dispatcher(local, cloud, value="0.004")
    PolicyShelf(toybox.database).put("objects", policy)
    toybox.policies.refresh()
    outcome = ask(dispatcher)
    assert len(outcome.detections) == 1, "both drew the same dog"
    assert outcome.detections[0].label == "dog"


def test_an_answer_taken_for_its_worth_tells_what_it_is_worth_and_one_asked_for_by_name_tells_its_own_words(toybox, local, cloud, policy):
    cloud.label, local.confidence = "dog", 0.78
    dispatcher = toybox.dispatcher(local, cloud, value="0.004")
    PolicyShelf(toybox.database).put("objects", policy)
    toybox.policies.refresh()
    by_worth = ask(dispatcher)
    assert by_worth.provider == "local"
    assert by_worth.detections[0].confidence > 0.85, "nearly always right where it says so"
    for options in ({"providers": ("local",)}, {"strategy": "cheapest"}):
        assert [d.confidence for d in ask(dispatcher, **options).detections] == [0.78]


def test_any_provider_may_come_first(toybox, local, cloud):
    """Where the free one is never right, asking it first is only a loss of time."""
    records = []
    for k in range(120):
        record = record_of(k)
        replies = {**record.replies, "local": Reply((Found("dog", 0.9, (0.6, 0.6, 0.9, 0.9)),))}
        records.append(Comparison(digest=record.digest, feature="objects", origin="compare", replies=replies, truth=record.truth))
    dispatcher = toybox.dispatcher(local, cloud)
    PolicyShelf(toybox.database).put("objects", fit(records_of(records), {"local": 0.0, "rekognition": 0.001}))
    toybox.policies.refresh()
    cheap = ask(dispatcher, max_cost=Money(0))
    assert cheap.provider == "local", "and with no money it still answers"
    assert ask(dispatcher).provider == "rekognition"


def _where_the_day_begins():
    """Late in a day little money is plenty: a zone in which this hour is the first one."""
    hour = datetime.now(UTC).hour
    return f"Etc/GMT+{hour}" if hour <= 12 else f"Etc/GMT-{24 - hour}"  # the signs are POSIX's: + is west


@pytest.mark.parametrize(("limit", "attempts"), [("1000000", 2), ("0.002", 1)])
def test_a_paced_budget_with_plenty_buys_small_gains_and_one_with_little_does_not(toybox, local, cloud, limit, attempts):
    local.confidence = 0.75  # a gain of 0.05, worth half the price without a budget
    dispatcher = toybox.dispatcher(local, cloud)
    toybox.ledgers[-1].put_budget(Budget("paced", "global", "", "day", _where_the_day_begins(), Money.usd(limit), pacing=True))
    toybox.pacing.refresh()
    assert len(ask(dispatcher).attempts) == attempts
    assert toybox.pacing.numbers()[0]["budget"] == "paced"


def test_pictures_that_were_counted_for_a_paced_budget_are_written_at_the_end(toybox, local, cloud):
    dispatcher = toybox.dispatcher(local, cloud)
    toybox.ledgers[-1].put_budget(Budget("paced", "global", "", "day", "UTC", Money.usd("1"), pacing=True))
    toybox.pacing.refresh()
    ask(dispatcher)
    toybox.pacing.close()
    with toybox.database.connect() as connection:
        assert connection.execute(select(paced_traffic.c.pictures)).scalars().all() == [1]


@pytest.mark.parametrize("artefact", ['{"version": 99}', '{"version": 7, "kind"', ""])
def test_policies_that_can_not_be_read_leave_the_rules_in_force(toybox, artefact):
    shelf = PolicyShelf(toybox.database)
    policies = Policies(toybox.database, ["local"], [], every_s=3600)
    from sqlalchemy import text  # noqa: PLC0415

    with toybox.database.begin() as connection:
        values = f"('objects', 1, 1, 1, 'truth', '', '{artefact.replace(':', chr(92) + ':')}')"
        connection.execute(text(f"INSERT INTO policies (feature, made_at_us, used_at_us, records, target, note, artefact) VALUES {values}"))
    policies.refresh()
    policies.refresh()
    assert policies.version("objects") is None
    assert shelf.in_use() == {"objects": 1}
    policies.close()


def test_a_dry_run_knows_whom_a_budget_would_refuse(toybox, local, cloud):
    other = Toy("google_vision")
    dispatcher = toybox.dispatcher(cloud, other, local)
    now = toybox.ledgers[-1].put_budget
    now(Budget("its-own", "provider", "rekognition", "day", "UTC", Money.usd("0.0005")))
    outcome = ask(dispatcher, dry_run=True)
    real = ask(dispatcher)
    assert told(outcome)["rekognition"] == told(real)["rekognition"]
    assert told(outcome)["rekognition"][1].startswith("budget_exhausted: budget its-own: settled 0 +")
    assert (told(outcome)["google_vision"][0], outcomes(real)) == ("first", [("google_vision", "answered")])
    now(Budget("shop", "tag", "team:shop", "day", "UTC", Money.usd("0.0005")))
    assert told(ask(dispatcher, dry_run=True, tags="team:shop"))["google_vision"][0] == "skipped"
    assert told(ask(dispatcher, dry_run=True, tags="team:other"))["google_vision"][0] == "first"
    now(Budget("shop", "tag", "team:shop", "day", "UTC", Money.usd("0.001")))
    assert told(ask(dispatcher, dry_run=True, tags="team:shop"))["google_vision"][0] == "first", "there is just enough"


@pytest.mark.parametrize("error", [OperationalError("SELECT 1", {}, Exception("away")), LedgerUnavailable("away")])
def test_a_dry_run_tells_the_route_also_where_no_budget_can_be_read(toybox, local, cloud, monkeypatch, error):
    def away():
        raise error

    dispatcher = toybox.dispatcher(cloud, local)
    monkeypatch.setattr(toybox.ledgers[-1], "budgets", away)
    assert told(ask(dispatcher, dry_run=True))["rekognition"][0] == "first"
