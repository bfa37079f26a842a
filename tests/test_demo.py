import random
from datetime import date

from cost.ledger import CostFilter, cost_rows
from cost.ledger.verify import verify
from gateway.database import prepare_database
from tests import demo


def test_the_simulated_past_is_a_sound_ledger_that_ends_before_now(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "DAYS", 3)
    prices = tmp_path / "prices.toml"
    prices.write_text(demo._shared_account((demo.BUILT_IN / "google_vision.toml").read_text()))
    url = f"sqlite:///{tmp_path}/gateway.db"
    demo.write_history(url, tmp_path / "spool", prices)
    engine = prepare_database(url)
    assert list(verify(engine)) == []
    with engine.connect() as connection:
        rows = {row.keys["provider"]: row for row in cost_rows(connection, CostFilter(first=date.min, last=date.max), ["provider"])}
    engine.dispose()
    assert set(rows) == {"rekognition", "google_vision", "local"}
    assert rows["google_vision"].cost.nanos > 0


def test_the_past_is_the_same_at_every_start_and_never_the_future():
    clock = demo.PastClock()
    first, again = (list(demo.moments(clock.at, random.Random(1))) for _ in range(2))
    assert first == again == sorted(first)
    assert first[-1] < clock.at
