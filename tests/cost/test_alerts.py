import hashlib
import hmac
import json
import threading
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from cost.alerts import body_of, signature
from cost.ledger import Budget, Ledger
from cost.money import Money
from tests.cost.sheets import BOOK, FLAT, hold

WATCHED = Budget("all", "global", "", "day", "UTC", Money(10 * FLAT), alert_at=(Decimal("0.5"), Decimal("0.95")))


def spend(ledger, calls):
    for _ in range(calls):
        ledger.settle(ledger.reserve(hold()).attempt_id)


def test_each_threshold_of_a_window_is_told_once(ledger, clock):
    ledger.put_budget(WATCHED)
    spend(ledger, 4)
    assert ledger.due_alerts() == []
    spend(ledger, 1)
    (alert,) = ledger.due_alerts()
    assert (alert.threshold, alert.committed, alert.limit, alert.budget.name) == (Decimal("0.5"), Money(5 * FLAT), Money(10 * FLAT), "all")
    assert alert.starts_at <= clock.now() < alert.resets_at
    ledger.alert_delivered(alert)
    assert ledger.budget_alerts("all") == [alert]
    assert ledger.budget_alerts("another") == []
    spend(ledger, 5)
    (alert,) = ledger.due_alerts()
    assert alert.threshold == Decimal("0.95")
    ledger.alert_delivered(alert)
    clock.advance(hours=2)
    assert ledger.due_alerts() == []
    clock.advance(hours=12)
    spend(ledger, 5)
    assert [alert.threshold for alert in ledger.due_alerts()] == [Decimal("0.5")]


def test_a_threshold_reached_in_a_windows_last_second_is_still_told(ledger, clock):
    ledger.put_budget(WATCHED)
    clock.advance(hours=11, minutes=59, seconds=59)
    spend(ledger, 5)
    clock.advance(seconds=2)
    assert [alert.threshold for alert in ledger.due_alerts()] == [Decimal("0.5")]


def test_what_was_not_delivered_is_told_again_after_its_lease_and_to_nobody_before(ledger, clock):
    ledger.put_budget(WATCHED)
    spend(ledger, 5)
    first = ledger.due_alerts(lease_s=60)
    assert ledger.due_alerts() == []
    clock.advance(seconds=60)
    assert ledger.due_alerts() == first


def test_several_processes_tell_an_alert_once(ledger, engine, clock, tmp_path):
    ledger.put_budget(WATCHED)
    spend(ledger, 10)
    others = [Ledger(engine, BOOK, spool=tmp_path / f"{n}", now=clock.now, elapsed=clock.elapsed, tick_s=3600) for n in range(3)]
    told = []
    threads = [threading.Thread(target=lambda one=one: told.extend(one.due_alerts())) for one in [ledger, *others]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for other in others:
        other.close()
    assert sorted(alert.threshold for alert in told) == [Decimal("0.5"), Decimal("0.95")]


def test_a_budget_without_thresholds_or_without_money_alerts_nobody(ledger):
    ledger.put_budget(replace(WATCHED, alert_at=()))
    ledger.put_budget(replace(WATCHED, name="nothing", limit=Money(0), scope="client", scope_value="nobody"))
    spend(ledger, 10)
    assert ledger.due_alerts() == []


def test_the_message_is_signed_so_that_a_receiver_can_check_it(ledger):
    ledger.put_budget(replace(WATCHED, scope="tag", scope_value="team:a"))
    for _ in range(5):
        ledger.reserve(hold(tags={"team": "a"}))
    (alert,) = ledger.due_alerts()
    body = body_of(alert)
    said = json.loads(body)
    assert (said["budget"], said["scope"], said["threshold"], said["committed_usd"], said["limit_usd"]) == (
        "all",
        {"tag": "team:a"},
        "0.5",
        "0.005",
        "0.01",
    )
    header = signature(body, "secret", datetime(2026, 11, 22, tzinfo=UTC))
    timestamp, digest = (part.split("=")[1] for part in header.split(","))
    assert timestamp == "1795305600"
    assert hmac.compare_digest(digest, hmac.new(b"secret", timestamp.encode() + b"." + body, hashlib.sha256).hexdigest())
    assert signature(body, "other", datetime(2026, 11, 22, tzinfo=UTC)) != header
