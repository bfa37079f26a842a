"""Experiments on requests: clients notice nothing, money stops where it should, and every picture is paid once."""

import threading

import pytest
from sqlalchemy.exc import OperationalError

from cost.ledger import Budget
from cost.money import Money
from gateway.cache.store import MemoryStore
from gateway.experiments.making import BadTerms
from gateway.experiments.store import ExperimentExists
from gateway.experiments.terms import Arm, Stop
from providers.errors import ProviderFailed, ProviderUnreachable
from tests.gateway.experiments.arms import terms
from tests.gateway.toys import Toy, raises

CENT = Money.usd("0.01")


@pytest.fixture
def toys():
    return Toy("amazon"), Toy("google"), Toy("local")


def test_a_shadow_changes_neither_a_clients_answer_nor_its_cost_nor_its_bill(lab_of, toys):
    lab = lab_of(*toys)
    before = lab.ask(0, providers="amazon")
    lab.run(terms(Arm("live"), Arm("google", ("google",)), mode="shadow", budget=CENT))
    after = [lab.ask(n, providers="amazon") for n in range(1, 6)]
    lab.settle()
    assert {(one.provider, one.cost, len(one.attempts)) for one in [before, *after]} == {("amazon", Money.usd("0.001"), 1)}
    assert [sorted(one.answers) for one in lab.seen()] == [["google", "live"]] * 5
    assert lab.committed() == Money.usd("0.005")
    spent = {row.keys["client"]: row.cost for row in lab.ledger.costs(lab.ledger.now().date(), lab.ledger.now().date(), ["client"])}
    assert spent == {"tester": Money.usd("0.006"), "experiment.trial": Money.usd("0.005")}


def test_a_shadows_spend_stops_at_its_own_budget_and_so_does_the_experiment(lab_of, toys):
    lab = lab_of(*toys)
    lab.run(terms(Arm("live"), Arm("google", ("google",)), mode="shadow", budget=Money.usd("0.0035")))
    for n in range(8):
        assert lab.ask(n, providers="amazon").provider == "amazon"
        lab.settle()
    assert lab.committed() == Money.usd("0.003")
    assert lab.store.get("trial").stopped_because == "its budget is spent"
    assert toys[1].asked == 3


def test_a_shadow_whose_budget_somebody_ends_asks_nobody_any_more(lab_of, toys):
    lab = lab_of(*toys)
    lab.run(terms(Arm("live"), Arm("google", ("google",)), mode="shadow", budget=CENT))
    lab.ask(0, providers="amazon")
    lab.settle()
    lab.ledger.delete_budget("experiment.trial")
    lab.ask(1, providers="amazon")
    lab.settle()
    assert toys[1].asked == 1
    assert lab.store.get("trial").stopped_because == "its budget was ended"


def test_a_client_does_not_wait_for_a_shadow_that_hangs(lab_of):
    over = threading.Event()
    hanging = Toy("google", lambda _: over.wait(30) and None)
    lab = lab_of(Toy("local"), hanging)
    lab.run(terms(Arm("live", ("local",)), Arm("google", ("google",)), mode="shadow", budget=CENT))
    assert [lab.ask(n, providers="local").provider for n in range(10)] == ["local"] * 10
    assert not over.is_set()
    over.set()


def test_a_shadow_that_fails_does_not_open_the_clients_circuit(lab_of):
    failing = Toy("google", raises(ProviderFailed("down"), times=50))
    lab = lab_of(Toy("local"), failing)
    lab.run(terms(Arm("live", ("local",)), Arm("google", ("google",)), mode="shadow", budget=Money.usd("1")))
    for n in range(60):
        lab.ask(n, providers="local")
        lab.settle()
    assert {one.answers["google"].error for one in lab.seen()} >= {"no_provider_available"}
    assert lab.dispatcher.lines["google"].circuit_problem(frozenset({"objects"})) == ""


def test_paired_asks_every_arm_about_every_picture_and_takes_the_clients_answer_for_its_own_arm(lab_of, toys):
    lab = lab_of(*toys)
    lab.run(terms("amazon", "google", "local", budget=CENT))
    for n in range(3):
        lab.ask(n, providers="amazon")
    lab.settle()
    assert [toy.asked for toy in toys] == [3, 3, 3]
    assert all(set(one.answers) == {"amazon", "google", "local"} for one in lab.seen())


def test_the_same_picture_is_compared_once(lab_of, toys):
    lab = lab_of(*toys)
    lab.run(terms("amazon", "google", budget=CENT))
    for _ in range(3):
        lab.ask(7)
    lab.settle()
    assert len(lab.seen()) == 1
    assert toys[1].asked == 1


def test_what_was_compared_is_written_at_the_end(lab_of, toys, monkeypatch):
    monkeypatch.setattr("gateway.experiments.live._REFRESHED_EVERY_S", 3_600)
    lab = lab_of(*toys)
    lab.run(terms("amazon", "google", budget=CENT))
    lab.ask(1)
    assert lab.live.off_path.idle(60)
    lab.live.close()
    assert len(lab.seen()) == 1


def test_what_was_compared_is_kept_as_records_that_tuning_reads(lab_of, toys):
    lab = lab_of(*toys)
    lab.run(terms("amazon", "google", reference="google", budget=CENT))
    lab.ask(1)
    lab.settle()
    lab.comparisons.flush()
    (record,) = lab.comparisons.read(source="trial")
    assert (record.origin, record.feature, record.reference, sorted(record.replies)) == (
        "experiment",
        "objects",
        "google",
        ["amazon", "google"],
    )
    assert [found.label for found in record.replies["google"].found] == ["dog"]
    assert record.replies["google"].price == Money.usd("0.001")


def test_a_split_answers_each_client_from_one_arm_and_bills_it_as_ever(lab_of, toys):
    lab = lab_of(*toys)
    lab.run(terms("amazon", "google", mode="split", unit="client"))
    providers = {client: {lab.ask(n, client=f"client {client}").provider for n in range(2)} for client in range(24)}
    lab.settle()
    assert all(len(used) == 1 for used in providers.values())
    assert set().union(*providers.values()) == {"amazon", "google"}
    assert len(lab.seen()) == 48
    assert len({one.unit for one in lab.seen()}) == 24


def test_a_subject_stays_in_its_arm_and_who_names_none_takes_no_part(lab_of, toys):
    lab = lab_of(*toys)
    lab.run(terms("google", "local", mode="split", unit="subject"))
    assert len({lab.ask(n, subject="patient 7").provider for n in range(4)}) == 1
    assert lab.ask(9).provider == "amazon"


def test_a_client_that_says_itself_whom_to_ask_is_not_overruled(lab_of, toys):
    lab = lab_of(*toys)
    lab.run(terms("google", "local", mode="split"))
    assert lab.ask(1, providers="amazon").provider == "amazon"


def test_an_arm_that_fails_costs_its_client_nothing(lab_of):
    lab = lab_of(Toy("amazon"), Toy("google", raises(ProviderUnreachable("down"))))
    lab.run(terms(Arm("broken", ("google",), weight=1), Arm("never", ("amazon",), weight=0), mode="split"))
    outcomes = [lab.ask(n).provider for n in range(12)]
    lab.settle()
    assert outcomes == ["amazon"] * 12
    assert {one.answers["broken"].error for one in lab.seen()} == {"no_provider_available"}


def test_half_of_a_shared_budget_stays_with_the_clients(lab_of, toys):
    lab = lab_of(*toys)
    lab.ledger.put_budget(Budget("everybody", "global", "", "day", "UTC", Money.usd("0.010"), when_exhausted="reject"))
    lab.run(terms(Arm("live"), Arm("google", ("google",)), mode="shadow", budget=Money.usd("1")))
    for n in range(5):
        assert lab.ask(n, providers="amazon").provider == "amazon"
        lab.settle()
    assert toys[1].asked == 2, "two clients' calls and two shadows are 0.004; the third client's makes it half"
    assert lab.store.get("trial").shed == 3


def test_under_load_experiments_are_what_is_left_undone(lab_of, toys):
    lab = lab_of(*toys, busy=0)
    lab.run(terms("google", "local", mode="shadow", budget=CENT))
    with lab.live.off_path.client():
        for n in range(300):
            lab.ask(n, providers="local")
        assert toys[1].asked == 0
    lab.settle()
    assert 0 < len(lab.seen()) <= 256
    assert lab.store.get("trial").shed == 300 - len(lab.seen())


def test_a_sample_is_a_share_of_the_pictures(lab_of, toys):
    lab = lab_of(*toys)
    lab.run(terms(Arm("live"), Arm("google", ("google",)), mode="shadow", sample_rate=0.25, budget=Money.usd("1")))
    for n in range(100):
        lab.ask(n, providers="local")
    lab.settle()
    assert 10 <= len(lab.seen()) <= 42


def test_requests_that_ask_something_else_take_no_part(lab_of):
    lab = lab_of(Toy("google", features=("objects", "text")), Toy("local", features=("objects", "text")))
    lab.run(terms("google", "local", features=("text",), budget=CENT))
    lab.ask(1)
    lab.ask(2, features="objects,text")
    lab.settle()
    assert len(lab.seen()) == 1
    assert {found.feature for answer in lab.seen()[0].answers.values() for found in answer.detections} == {"text"}


def test_an_experiment_ends_by_its_pictures(lab_of, toys):
    lab = lab_of(*toys)
    lab.run(terms("google", "local", budget=CENT, stop=Stop(pictures=3)))
    for n in range(6):
        lab.ask(n)
        lab.settle()
    assert lab.store.get("trial").stopped_because == "3 pictures were compared"
    assert len(lab.seen()) == 3


def test_terms_are_fixed_once_started(lab_of, toys):
    lab = lab_of(*toys)
    lab.store.create(terms("google", "local", budget=CENT), "tester")
    lab.run(terms("amazon", "local", budget=CENT))
    with pytest.raises(ExperimentExists, match="fixed"):
        lab.store.create(terms("google", "local", budget=CENT), "tester")
    assert [arm.name for arm in lab.store.get("trial").terms.arms] == ["amazon", "local"]


@pytest.mark.parametrize(
    ("wrong", "parameter"),
    [
        (terms("google", "nobody", budget=CENT), "arms"),
        (terms("google", Arm("google", ("local",)), budget=CENT), "arms"),
        (terms("google", "local", features=("text",), budget=CENT), "arms"),
        (terms("google", "local", reference="amazon", budget=CENT), "reference"),
        (terms("google", "local"), "budget_usd"),
        (terms(Arm("a", ("google",), weight=0), Arm("b", ("local",), weight=0), mode="split"), "arms"),
    ],
)
def test_terms_that_could_not_run_are_refused(lab_of, toys, wrong, parameter):
    with pytest.raises(BadTerms) as error:
        lab_of(*toys).run(wrong)
    assert error.value.parameter == parameter


@pytest.mark.parametrize("days", [0, 3])
def test_pictures_are_kept_only_where_that_is_turned_on(lab_of, toys, days):
    lab = lab_of(*toys, kept_days=days)
    lab.run(terms("google", "local", budget=CENT))
    digest = lab.ask(5).image.digest
    lab.settle()
    assert (lab.pictures.get(digest) is not None) is bool(days)
    assert lab.pictures.delete(digest) is bool(days)
    assert lab.pictures.get(digest) is None


def test_a_kept_answer_costs_its_client_nothing_and_is_compared_once(lab_of, toys):
    lab = lab_of(*toys, store=MemoryStore())
    lab.ask(4, providers="amazon")
    lab.run(terms(Arm("live"), Arm("google", ("google",)), mode="shadow", budget=CENT))
    kept = [lab.ask(4, providers="amazon") for _ in range(3)]
    lab.settle()
    assert {type(one).__name__ for one in kept} == {"Kept"}
    (seen,) = lab.seen()
    assert (seen.answers["live"].provider, seen.answers["live"].cost, seen.answers["live"].latency_ms) == ("amazon", Money.usd("0"), None)
    assert toys[1].asked == 1


def test_a_split_is_not_answered_with_what_was_kept_for_everybody(lab_of, toys):
    lab = lab_of(*toys, store=MemoryStore())
    assert lab.ask(4).provider in {"amazon", "local"}
    lab.run(terms(Arm("google", ("google",)), Arm("none", ("local",), weight=0), mode="split"))
    assert lab.ask(4).provider == "google"


def test_records_are_kept_also_where_their_pictures_are_not(lab_of, toys, monkeypatch):
    lab = lab_of(*toys, kept_days=1)
    lab.run(terms(Arm("amazon", ("amazon",)), Arm("google", ("google",)), mode="shadow", budget=CENT))

    def fails(_jpegs):
        raise OperationalError("INSERT", {}, ConnectionError())

    monkeypatch.setattr(lab.pictures, "keep", fails)
    lab.ask(0)
    with pytest.raises(OperationalError):
        lab.settle()
    lab.comparisons.flush()
    assert [set(record.replies) for record in lab.comparisons.read()] == [{"amazon", "google"}]
