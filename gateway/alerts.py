"""Tells when a budget reaches a threshold: a log event always, and a signed webhook where the operator named one."""

import logging
import threading

from cost.alerts import body_of
from cost.ledger import Ledger, LedgerUnavailable
from cost.ledger.alerts import Alert
from gateway.webhook import TIMEOUT_S, Webhook

log = logging.getLogger(__name__)

_EVERY_S = 5.0
_AGAIN_S = 60.0


class AlertSender:
    """A thread that asks the ledger which alerts are due. Of many processes one gets each; it tells again until somebody listened."""

    def __init__(
        self, ledger: Ledger, webhook_url: str | None, secret: str | None, *, every_s: float = _EVERY_S, again_s: float = _AGAIN_S
    ) -> None:
        """Post to `webhook_url`, signed with `secret`; None: only log. What was not taken is told again after `again_s` seconds."""
        self._ledger = ledger
        self._webhook = Webhook(webhook_url, secret)
        self._every_s = every_s
        self._again_s = again_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop after what is being told."""
        self._stopped.set()
        self._thread.join(2 * TIMEOUT_S)
        self._webhook.close()

    def _run(self) -> None:
        while not self._stopped.wait(self._every_s):
            try:
                for alert in self._ledger.due_alerts(self._again_s):
                    self._tell(alert)
            except LedgerUnavailable:
                continue  # readiness says so; the alerts keep
            except Exception:
                log.exception("alerts.failed")

    def _tell(self, alert: Alert) -> None:
        facts = {"budget": alert.budget.name, "threshold": str(alert.threshold), "committed_usd": str(alert.committed)}
        log.warning("budget.threshold_reached", extra={**facts, "limit_usd": str(alert.limit)})
        if self._webhook.post(body_of(alert), {"budget": alert.budget.name}):
            self._ledger.alert_delivered(alert)
