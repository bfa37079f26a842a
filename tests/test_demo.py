import json
from datetime import UTC, datetime, timedelta

from cost.ledger import CostFilter, Ledger, cost_rows
from cost.ledger.verify import verify
from cost.price_files import BUILT_IN, load_prices
from gateway.database import prepare_database
from gateway.keys import Keys
from gateway.monitoring.watch import QualityWatch
from gateway.pictures import KeptPictures
from gateway.webhook import Webhook
from tests.clouds.pictures import Pictures
from tests.demo.__main__ import PHOTOS, shared_account
from tests.demo.history import BUDGETS, write_history
from tests.demo.photos import make_photos
from tests.demo.plan import CLIENTS, plan
from tests.demo.watched import write_watched


def test_the_simulated_past_is_a_sound_ledger_that_ends_before_now(tmp_path):
    prices = tmp_path / "prices.toml"
    prices.write_text(shared_account((BUILT_IN / "google_vision.toml").read_text()))
    url = f"sqlite:///{tmp_path}/gateway.db"
    finance = write_history(url, tmp_path / "spool", prices, days=2)
    engine = prepare_database(url)
    assert list(verify(engine)) == []
    assert Keys(engine).find(finance).role == "finance"
    today = datetime.now(UTC).date()
    with engine.connect() as connection:
        where = CostFilter(first=today - timedelta(days=9), last=today)
        rows = {row.keys["provider"]: row for row in cost_rows(connection, where, ["provider"])}
        days = {row.keys["day"] for row in cost_rows(connection, where, ["day"])}
        clients = {row.keys["client"] for row in cost_rows(connection, where, ["client"])}
    ledger = Ledger(engine, load_prices(prices, {"rekognition": "us-east-1"}), spool=tmp_path / "spool")
    assert {status.budget.name for status in ledger.budgets()} == {budget.name for budget, _ in BUDGETS}
    assert all(status.budget.limit >= status.committed for status in ledger.budgets())
    assert [change.by for change in ledger.budget_changes("everything")] == ["anna", "admin"]
    ledger.close()
    engine.dispose()
    assert set(rows) == {"rekognition", "google_vision", "local"}
    assert len(days) >= 2
    assert clients == set(CLIENTS)
    assert rows["google_vision"].cost.nanos > 0
    assert rows["local"].avoided.nanos > 0


def test_the_past_is_the_same_at_every_start_and_never_the_future():
    now = datetime(2026, 11, 27, 16, tzinfo=UTC)
    first, again = plan(now), plan(now)
    assert first == again
    assert [asked.at for asked in first] == sorted(asked.at for asked in first)
    assert first[-1].at < now
    by_weekday = {asked.at.weekday() for asked in first}
    assert by_weekday == set(range(7))


def test_the_pictures_of_the_comparison_know_what_is_on_them(tmp_path):
    coco = json.loads(make_photos(PHOTOS, tmp_path / "photos").read_text())
    sides = {image["id"]: (image["width"], image["height"]) for image in coco["images"]}
    assert len(coco["images"]) == 70
    assert len(coco["annotations"]) > 200
    for one in coco["annotations"]:
        x, y, width, height = one["bbox"]
        right, bottom = sides[one["image_id"]]
        assert 0 <= x < x + width <= right + 1
        assert 0 <= y < y + height <= bottom + 1
    pictures = Pictures(tmp_path / "photos" / "instances.json", tmp_path / "photos")
    for image in coco["images"][::7]:
        mine = [one for one in coco["annotations"] if one["image_id"] == image["id"]]
        assert len(pictures.things_on((tmp_path / "photos" / image["file_name"]).read_bytes())) == len(mine)


def test_what_was_watched_has_one_thing_that_moved_and_its_pictures_can_be_seen(tmp_path):
    url = f"sqlite:///{tmp_path}/gateway.db"
    engine = prepare_database(url)
    write_watched(url, make_photos(PHOTOS, tmp_path / "photos"), kept_days=7)
    watch = QualityWatch(engine, Webhook(None, None), every_s=3_600)
    [alarm] = watch.check()
    watch.close()
    assert (alarm.provider, alarm.feature, alarm.name) == ("google_vision", "objects", "labels")
    assert alarm.told["label"] in {"person", "pedestrian"}
    assert KeptPictures(engine, 7).known(alarm.told["moved"])
    engine.dispose()
