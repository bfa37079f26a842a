"""A real webhook: a server on this machine that takes the post or refuses it."""

import http.server
import json
import threading
import time
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from cost.alerts import SIGNATURE_HEADER, signature
from cost.ledger import Budget
from cost.money import Money
from gateway.alerts import AlertSender
from tests.gateway.toys import Toy, ask
from tests.waiting import until


class Webhook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.append((body, self.headers[SIGNATURE_HEADER]))
        self.server.may_answer.wait(10)
        self.send_response(self.server.answers.pop(0) if self.server.answers else 200)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def webhook():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
    server.posts, server.answers, server.may_answer = [], [], threading.Event()
    server.may_answer.set()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def spend_over(toybox, limit):
    dispatcher = toybox.dispatcher(Toy("rekognition"))
    ledger = toybox.ledgers[-1]
    ledger.put_budget(Budget("all", "global", "", "day", "UTC", Money.usd(limit), alert_at=(Decimal("0.5"), Decimal("0.9"))))
    return dispatcher, ledger


def test_each_threshold_is_told_once_and_signed(toybox, webhook):
    dispatcher, ledger = spend_over(toybox, "0.004")
    senders = [AlertSender(ledger, f"http://127.0.0.1:{webhook.server_port}/", "s3cret", every_s=0.05) for _ in range(2)]
    ask(dispatcher)
    time.sleep(0.3)
    assert webhook.posts == [], "a quarter of the limit"
    ask(dispatcher)
    until(lambda: len(webhook.posts) >= 1)
    ask(dispatcher)
    ask(dispatcher)
    until(lambda: len(webhook.posts) >= 2)
    time.sleep(0.3)
    for sender in senders:
        sender.close()
    told = [json.loads(body) for body, _ in webhook.posts]
    assert [(one["budget"], one["threshold"], one["limit_usd"]) for one in told] == [("all", "0.5", "0.004"), ("all", "0.9", "0.004")]
    for body, signed in webhook.posts:
        sent_at = int(signed.partition(",")[0].removeprefix("t="))
        assert signed == signature(body, "s3cret", datetime.fromtimestamp(sent_at, UTC))


def test_a_webhook_that_does_not_listen_is_told_again_and_nothing_else_suffers(toybox, webhook, caplog):
    webhook.answers = [500]
    dispatcher, ledger = spend_over(toybox, "0.001")
    sender = AlertSender(ledger, f"http://127.0.0.1:{webhook.server_port}/", "s3cret", every_s=0.05, again_s=0.2)
    assert ask(dispatcher).provider == "rekognition"
    until(lambda: len(webhook.posts) >= 3)
    sender.close()
    assert [json.loads(body)["threshold"] for body, _ in webhook.posts].count("0.5") + 1 == len(webhook.posts) == 3
    assert any(record.getMessage() == "alerts.webhook_failed" for record in caplog.records)
    assert any(record.getMessage() == "budget.threshold_reached" for record in caplog.records)


def test_a_gateway_that_ends_tells_no_more_than_the_alert_it_is_at(toybox, webhook):
    dispatcher, ledger = spend_over(toybox, "0.001")
    sender = AlertSender(ledger, f"http://127.0.0.1:{webhook.server_port}/", "s3cret", every_s=0.05)
    webhook.may_answer.clear()
    ask(dispatcher)
    until(lambda: webhook.posts)
    threading.Timer(0.3, webhook.may_answer.set).start()
    sender.close()
    assert len(webhook.posts) == 1, "of two thresholds"
