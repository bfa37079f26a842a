"""A ledger with a little of everything in it, under names that would like to be markup."""

from cost.ledger import Correction, Hold, UsageRow
from cost.money import Money

MARKUP = '<script>alert("x")</script>'
FORMULA = '=HYPERLINK("http://evil.example")'


def spend(ledger):
    """Calls of three clients to two SKUs, in every state; a correction; answers that nobody billed."""
    calls = (
        ("shop", {"team": "a"}, "OBJECT_LOCALIZATION", "settled"),
        ("shop", {"team": "b", "campaign": MARKUP.replace(",", "")}, "OBJECT_LOCALIZATION", "settled"),
        (MARKUP, {"team": "a"}, "TEXT_DETECTION", "settled"),
        (FORMULA, {}, "TEXT_DETECTION", "unknown"),
        ("shop", {}, "TEXT_DETECTION", "reserved"),
    )
    for number, (client, tags, sku, ends) in enumerate(calls, 1):
        usage = {sku: 1500 + number}
        hold = Hold(
            provider="google_vision",
            usage=usage,
            request_id=f"r{number}",
            client=client,
            features=frozenset({"objects"}),
            timeout_s=600,
            tags=tags,
        )
        held = ledger.reserve(hold)
        if ends == "settled":
            ledger.settle(held.attempt_id)
        elif ends == "unknown":
            ledger.unknown(held.attempt_id, outcome="timeout")
    ledger.correct(
        Correction(
            amount=Money(-12_345), reason="invoice", provider="google_vision", sku="TEXT_DETECTION", day=ledger.now().date().isoformat()
        )
    )
    for kind in ("in_house", "hit", "joined"):
        ledger.record_usage(
            UsageRow(
                kind=kind,
                request_id="u",
                client="shop",
                provider="local" if kind == "in_house" else "google_vision",
                features=frozenset({"objects"}),
                sku="picture" if kind == "in_house" else "OBJECT_LOCALIZATION",
                imputed=Money(77 if kind == "in_house" else 0),
                avoided=Money(2_250_001),
                tags={"team": "a"},
            )
        )
