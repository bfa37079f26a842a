"""An alert as a signed message, so that whoever gets it knows who sent it and when.

The signature is HMAC-SHA-256 over `"{timestamp}.{body}"`, hexadecimal, told as `t=TIMESTAMP,v1=SIGNATURE` in the header `SIGNATURE_HEADER`.
A receiver works it out again, compares in constant time, and refuses timestamps older than some minutes.
Source: the scheme is Stripe's, https://docs.stripe.com/webhooks#verify-manually
"""

import hashlib
import hmac
import json
from datetime import datetime

from cost.ledger.alerts import Alert

SIGNATURE_HEADER = "Gateway-Signature"


def body_of(alert: Alert) -> bytes:
    """The message: JSON, amounts as decimal strings. The same alert always has the same body and `id`, so a repeat can be dropped."""
    budget = alert.budget
    scope = {} if budget.scope == "global" else {budget.scope: budget.scope_value}
    message = {
        "id": f"{alert.window_id}:{alert.threshold}",
        "event": "budget.threshold_reached",
        "budget": budget.name,
        "scope": scope,
        "threshold": str(alert.threshold),
        "committed_usd": str(alert.committed),
        "limit_usd": str(alert.limit),
        "window": {"starts_at": alert.starts_at.isoformat(), "ends_at": alert.resets_at.isoformat()},
        "noticed_at": alert.noticed_at.isoformat(),
    }
    return json.dumps(message, separators=(",", ":")).encode()


def signature(body: bytes, secret: str, sent_at: datetime) -> str:
    """The value of `SIGNATURE_HEADER` for a body that is sent at an instant (aware; whole seconds count)."""
    timestamp = int(sent_at.timestamp())
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"
