"""The canary set: a vendor that changes its model is told once, one that does not never, and the budget is never exceeded."""

import json
import shutil
import threading
import time

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from cost.money import FREE, Money
from gateway.cli import main
from gateway.monitoring.canary import BUDGET, Canary, CanarySchedule, NoCanary, differs, is_change
from gateway.monitoring.schema import alarms, leases
from providers.contract import Answer, BoundingBox, Detection
from providers.errors import ProviderUnreachable
from tests.conftest import PHOTOS
from tests.gateway.toys import Toy, raises
from tests.waiting import until


class Vendor(Toy):
    """Finds one thing, by a model that may be changed."""

    label, confidence, version = "dog", 0.9, "1"

    @property
    def model(self):
        return f"{self.name} {self.version}"

    def detect(self, image, call, timeout_s):
        super().detect(image, call, timeout_s)
        found = Detection("objects", self.label, self.confidence, BoundingBox(0.1, 0.1, 0.5, 0.5), self.name, self.label)
        return Answer((found,), self.model)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "canaries"
    folder.mkdir()
    for path in PHOTOS.glob("*.jpg"):
        shutil.copy(path, folder)
    return folder


@pytest.fixture
def make(toybox, folder):
    def make(*vendors, usd="1"):
        dispatcher = toybox.dispatcher(*vendors, deadline_ms=60_000)
        return Canary(toybox.database, toybox.ledgers[-1], dispatcher, folder, Money.usd(usd))

    return make


def told(toybox) -> list[str]:
    with toybox.database.connect() as connection:
        return list(connection.execute(sa.select(alarms.c.provider).where(alarms.c.kind == "canary")).scalars())


@pytest.mark.parametrize(
    "change", [{"label": "wolf"}, {"confidence": 0.8}, {"version": "2"}], ids=["other labels", "other confidences", "another name alone"]
)
def test_a_vendor_that_has_changed_its_model_is_told_once(make, toybox, change):
    steady, vendor = Vendor("google_vision"), Vendor("rekognition")
    canary = make(steady, vendor)
    assert [run.changed for run in canary.run()] == [False, False]
    assert [run.differ for run in canary.run()] == [0, 0]
    vars(vendor).update(change)
    assert {run.provider: run.changed for run in canary.run()} == {"google_vision": False, "rekognition": True}
    assert [run.changed for run in canary.run()] == [False, False]
    assert told(toybox) == ["rekognition"]


def test_a_confidence_that_trembles_is_no_change(make, toybox):
    vendor = Vendor("rekognition")
    canary = make(vendor)
    for confidence in (0.9, 0.91, 0.895):
        vendor.confidence = confidence
        canary.run()
    assert told(toybox) == []


def test_canaries_are_paid_from_their_own_budget_and_stop_at_it(make, toybox):
    canary = make(Vendor("rekognition"), usd="0.010")
    first, second = canary.run()[0], canary.run()[0]
    assert (first.pictures, second.pictures) == (7, 3)
    assert "budget is spent" in second.summary
    assert not second.changed
    (status,) = [one for one in toybox.ledgers[-1].budgets() if one.budget.name == BUDGET]
    assert status.remaining == FREE
    assert {row.keys["client"] for row in toybox.ledgers[-1].costs(*[toybox.ledgers[-1].now().date()] * 2, ["client"])} == {"canary"}


def test_a_vendor_that_is_away_is_not_judged(make, toybox):
    vendor = Vendor("rekognition")
    canary = make(vendor)
    canary.run()
    vendor.behave = raises(ProviderUnreachable("away"))
    assert "not judged" in canary.run()[0].summary
    vendor.behave = lambda _: None
    assert canary.latest()[0].summary.startswith("rekognition was shown")
    assert told(toybox) == []


def test_an_empty_set_says_so(make, folder):
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(NoCanary):
        make(Vendor("local")).run()


def test_of_many_processes_one_runs_the_set_when_it_is_due(make, toybox):
    vendor = Vendor("local")
    canary = make(vendor)
    schedules = [CanarySchedule(toybox.database, canary, 3_600, looked_every_s=0.05) for _ in range(3)]
    until(canary.latest)
    for schedule in schedules:
        schedule.close()
    assert vendor.asked == 7
    assert len(canary.latest()) == 1


def test_a_process_that_lost_the_lease_in_a_run_runs_the_set_again_when_it_has_it(make, toybox):
    def steal(_):
        with toybox.database.begin() as connection:
            connection.execute(sa.update(leases).values(holder="another process"))

    vendor = Vendor("local")
    vendor.behave = steal
    canary = make(vendor)
    schedule = CanarySchedule(toybox.database, canary, 3_600, looked_every_s=0.05)
    until(lambda: vendor.asked == 1)
    time.sleep(0.3)
    assert (vendor.asked, canary.latest()) == (1, []), "the other process has it"
    vendor.behave = lambda _: None
    with toybox.database.begin() as connection:
        connection.execute(sa.delete(leases))
    until(canary.latest, within_s=20)
    schedule.close()


def test_a_run_is_left_where_the_process_ends(make, toybox):
    vendor, begun = Vendor("local"), threading.Event()
    vendor.behave = lambda _: begun.set() or time.sleep(0.2)
    canary = make(vendor)
    schedule = CanarySchedule(toybox.database, canary, 3_600, looked_every_s=0.05)
    assert begun.wait(60)
    schedule.close()
    assert vendor.asked < 7
    assert canary.latest() == []


@pytest.mark.parametrize(
    ("differ", "pictures", "q", "changed"), [(5, 5, 0.05, True), (4, 4, 0.05, False), (7, 100, 0.05, False), (0, 0, 0.05, False)]
)
def test_what_is_more_than_chance(differ, pictures, q, changed):
    assert is_change(differ, pictures, q) is changed


@pytest.mark.parametrize(
    ("before", "now", "is_other"),
    [
        ([["dog", 0.9]], [["dog", 0.915]], False),
        ([["dog", 0.9]], [["dog", 0.87]], True),
        ([["dog", 0.9]], [["dog", 0.9], ["dog", 0.5]], True),
        ([], [], False),
    ],
)
def test_when_an_answer_is_another_one(before, now, is_other):
    assert differs(before, now) is is_other


def test_the_command_runs_the_set_and_shows_what_earlier_runs_said(tmp_path, folder, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GATEWAY_CANARY", str(folder))
    run = CliRunner().invoke(main, ["canary", "run", "--json"])
    assert run.exit_code == 0, run.output
    (one,) = json.loads(run.stdout)["runs"]
    assert (one["provider"], one["pictures"], one["changed"]) == ("local", 7, False)
    assert "later runs are held against this one" in CliRunner().invoke(main, ["canary", "status"]).output
