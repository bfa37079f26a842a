"""Messages to the operator's webhook, signed so that whoever gets one knows who sent it and when (`cost/alerts.py`)."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime

import urllib3

from cost.alerts import SIGNATURE_HEADER, signature

log = logging.getLogger(__name__)

TIMEOUT_S = 5.0


class Webhook:
    """One address; `None` is nobody, who takes everything."""

    def __init__(self, url: str | None, secret: str | None) -> None:
        """Post to `url`, signed with `secret`."""
        self._url, self._secret = url, secret or ""
        self._pool = urllib3.PoolManager(timeout=TIMEOUT_S, retries=False, maxsize=1)

    def post(self, body: bytes, facts: Mapping[str, object]) -> bool:
        """Whether the message was taken. Never raises; `facts` say in the log which one was not."""
        if self._url is None:
            return True
        headers = {"Content-Type": "application/json", SIGNATURE_HEADER: signature(body, self._secret, datetime.now(UTC))}
        try:
            response = self._pool.request("POST", self._url, body=body, headers=headers, redirect=False)
        except urllib3.exceptions.HTTPError as error:
            log.warning("alerts.webhook_failed", extra={**facts, "error": type(error).__name__})
            return False
        if response.status >= 300:
            log.warning("alerts.webhook_failed", extra={**facts, "status": response.status})
        return response.status < 300

    def close(self) -> None:
        """Give its connections back."""
        self._pool.clear()
