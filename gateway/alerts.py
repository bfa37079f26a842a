"""Tells when a budget reaches a threshold: a log event always, and a signed webhook where the operator named one."""

import logging

from cost.alerts import body_of
from cost.every import Every
from cost.ledger import Ledger
from cost.ledger.alerts import Alert
from gateway.webhook import Webhook

log = logging.getLogger(__name__)

_EVERY_S = 5.0
_AGAIN_S = 60.0


class AlertSender:
    """Asks the ledger which alerts are due. Of many processes one gets each; it tells again until somebody listened."""

    def __init__(
        self, ledger: Ledger, webhook_url: str | None, secret: str | None, *, every_s: float = _EVERY_S, again_s: float = _AGAIN_S
    ) -> None:
        """Post to `webhook_url`, signed with `secret`; None: only log. What was not taken is told again after `again_s` seconds."""
        self._ledger = ledger
        self._webhook = Webhook(webhook_url, secret)
        self._again_s = again_s
        self._every = Every(every_s, self._tell_due, "alerts")

    def close(self) -> None:
        """Stop after what is being told."""
        self._every.close()
        self._webhook.close()

    def _tell_due(self) -> None:
        for alert in self._ledger.due_alerts(self._again_s):
            if self._every.closing:
                return  # another process tells the others
            self._tell(alert)

    def _tell(self, alert: Alert) -> None:
        facts = {"budget": alert.budget.name, "threshold": str(alert.threshold), "committed_usd": str(alert.committed)}
        log.warning("budget.threshold_reached", extra={**facts, "limit_usd": str(alert.limit)})
        if self._webhook.post(body_of(alert), {"budget": alert.budget.name}):
            self._ledger.alert_delivered(alert)
