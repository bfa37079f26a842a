import sqlalchemy as sa

from cost.database import write_transaction
from cost.ledger.clock import boot_id, elapsed_us
from cost.ledger.schema import clock_anchors
from cost.ledger.times import HOUR_US, to_us, utc_now
from gateway.database import prepare_database
from tests.gateway.apps import NOBODY, app_of
from tests.waiting import until


def test_liveness_says_ok(stranger):
    response = stranger.get("/healthz")
    assert (response.status_code, response.json) == (200, {"status": "ok"})


def test_readiness_names_each_dependency(stranger):
    response = stranger.get("/readyz")
    assert response.json["status"] == "ready"
    assert set(response.json["dependencies"]) == {"database", "ledger", "local"}


def test_a_clock_that_the_ledger_does_not_believe_is_told_with_what_to_do(tmp_path):
    database = prepare_database(f"sqlite:///{tmp_path}/gateway.db")
    with write_transaction(database) as connection:  # an hour ago the clock was two hours ahead of now
        known = {"boot_id": boot_id(), "wall_us": to_us(utc_now()) + HOUR_US, "elapsed_us": elapsed_us() - HOUR_US}
        connection.execute(sa.insert(clock_anchors), known)
    database.dispose()
    app = app_of(tmp_path, GATEWAY_PROVIDERS="google_vision", **NOBODY)
    ledger = until(lambda: (told := app.test_client().get("/readyz").json["dependencies"]["ledger"])["detail"] and told)
    app.extensions["gateway"].close()
    assert ledger["ready"]
    assert "behind the time the ledger goes by; if it is right, run `vision-gateway ledger confirm-clock`" in ledger["detail"]
