from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from cost.money import Money
from gateway.experiments.schema import metadata
from gateway.experiments.store import ExperimentStore
from gateway.experiments.terms import Arm, ArmAnswer, Observation, Stop
from gateway.experiments.wire import read_terms, write_terms
from tests.gateway.experiments.arms import terms, thing


def test_the_migration_makes_the_tables_that_the_code_expects(toybox):
    with toybox.database.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found = [one for one in compare_metadata(context, metadata) if any(name in str(one) for name in metadata.tables)]
    assert found == []


def test_terms_are_read_as_they_were_written():
    arms = Arm("a", ("google", "local"), weight=0.3), Arm("b", strategy="cheapest")
    written = terms(*arms, mode="split", budget=Money.usd("0.000000001"), stop=Stop(days=2))
    assert read_terms(write_terms(written)) == written


def test_what_was_answered_is_read_as_it_was_kept(toybox):
    store = ExperimentStore(toybox.database)
    store.create(terms("a", "b"), "tester")
    answers = {
        "a": ArmAnswer((thing(), thing("text", feature="text", text="STOP, here")), "a", "a 1", Money.usd("0.00225"), 12.5),
        "b": ArmAnswer(error="deadline_exceeded"),
    }
    store.add([("trial", "id-1", Observation("d" * 64, "u", 640, 480, answers))])
    store.tell_truths("trial", {"d" * 64: [thing("zebra")]})
    store.judge("trial", "d" * 64, ["a"], "ann")
    (seen,) = store.observations("trial")
    assert seen.answers == answers
    assert seen.truth == (thing("zebra"),)
    assert seen.people == frozenset({"a"})


def test_the_latest_pictures_are_read_oldest_first(toybox):
    store = ExperimentStore(toybox.database)
    store.create(terms("a", "b"), "tester")
    for n in range(5):
        store.add([("trial", f"id-{n}", Observation(f"{n:064}", "u", 1, 1, {}))])
    assert [int(one.digest) for one in store.observations("trial", limit=3)] == [2, 3, 4]


def test_a_picture_that_is_written_again_under_its_id_stays_as_it_is(toybox):
    """Whoever writes does not always learn whether a commit was done."""
    store = ExperimentStore(toybox.database)
    store.create(terms("a", "b"), "tester")
    for model in ("1", "2"):
        store.add([("trial", "id", Observation("d" * 64, "u", 1, 1, {"a": ArmAnswer(model=model)}))])
    assert [one.answers["a"].model for one in store.observations("trial")] == ["1"]


def test_a_picture_that_is_kept_again_replaces_what_was_there(toybox):
    store = ExperimentStore(toybox.database)
    store.create(terms("a", "b"), "tester")
    for n in range(2):
        store.add([("trial", f"id-{n}", Observation("d" * 64, "u", 1, 1, {"a": ArmAnswer(model=str(n))}))], replace=True)
    assert [one.answers["a"].model for one in store.observations("trial")] == ["1"]
