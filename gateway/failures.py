"""What a client is told when nobody answered."""

import time
from collections.abc import Mapping

from cost.ledger import BudgetExhausted, LedgerError, LedgerUnavailable, NotPriced, OverMaxCost
from gateway import errors
from gateway.errors import GatewayError
from gateway.metering import REFUSALS
from gateway.race import Race
from gateway.route import Route
from providers.errors import ImageRefused, ProviderOverloaded


def nobody_can(route: Route) -> GatewayError:
    """No provider was left to ask."""
    reasons = {one.provider: one.reason for one in route.considered}
    kinds = {reason.partition(":")[0] for reason in reasons.values()}
    if "over_max_cost" in kinds:
        return errors.OverMaxCost("No allowed provider fits max_cost_usd; GET /v1/providers says what each one costs.", providers=reasons)
    if "ledger_unavailable" in kinds:
        return errors.LedgerUnavailable(
            "A paid provider is needed, and money can't be recorded right now.", retry_after_s=5, providers=reasons
        )
    if kinds == {"image_refused"}:
        return errors.InvalidImage("No allowed provider takes this picture: " + _listed(reasons) + ".")
    return errors.NoProviderAvailable(
        f"No allowed provider can answer this request: {_listed(reasons)}. GET /v1/providers says what each one can and why not now.",
        providers=reasons,
    )


def nobody_did(race: Race) -> GatewayError:
    """Those that were asked did not answer, or the ledger let none be asked."""
    error = _what_happened(race)
    error.charged = bool(race.cost)
    return error


def _what_happened(race: Race) -> GatewayError:
    reasons = {leg.name: reason_of(leg.error) if leg.error else "late" for leg in race.legs}
    failed = [leg.error for leg in race.legs if leg.error is not None]
    refused = [error for error in failed if isinstance(error, LedgerError)]
    every_leg_failed = len(failed) == len(race.legs)
    if refused and len(refused) == len(race.legs):
        return no_money(next((error for error in refused if isinstance(error, BudgetExhausted)), refused[0]), reasons)
    if failed and every_leg_failed and all(isinstance(error, ImageRefused) for error in failed):
        return errors.InvalidImage("Every provider that was asked refused this picture: " + _listed(reasons) + ".")
    if failed and every_leg_failed and all(isinstance(error, ProviderOverloaded) for error in failed):
        return errors.Overloaded(
            "Every allowed provider is busy. Try again after Retry-After, or allow other providers.", retry_after_s=1, providers=reasons
        )
    if time.monotonic() >= race.deadline:
        said = "`providers` says what became of each" if reasons else "it was over before one could be asked"
        return errors.DeadlineExceeded(f"No provider answered within deadline_ms: {said}. Allow more time.", providers=reasons)
    return errors.NoProviderAvailable(
        "Every provider that was asked failed; `providers` says how. Send it again in a moment.", providers=reasons
    )


def no_money(error: LedgerError, reasons: Mapping[str, str]) -> GatewayError:
    """A refusal of the ledger, with its arithmetic."""
    if isinstance(error, BudgetExhausted):
        short = error.shortfalls[0]
        return errors.BudgetExhausted(
            f"The budget {short.budget.name!r} has no room for {short.needed} USD until {short.resets_at.isoformat()}.",
            budget=short.budget.name,
            window={"starts_at": short.starts_at.isoformat(), "ends_at": short.resets_at.isoformat()},
            limit_usd=str(short.limit),
            settled_usd=str(short.settled),
            reserved_usd=str(short.reserved),
            unknown_usd=str(short.unknown),
            needed_usd=str(short.needed),
            resets_at=short.resets_at.isoformat(),
            providers=dict(reasons),
        )
    if isinstance(error, OverMaxCost):
        return errors.OverMaxCost(
            f"{error.needed} USD more would be needed; {error.committed} of {error.max_cost} USD are committed.", providers=dict(reasons)
        )
    if isinstance(error, LedgerUnavailable):
        return errors.LedgerUnavailable(
            "A paid provider is needed, and money can't be recorded right now.", retry_after_s=5, providers=dict(reasons)
        )
    if isinstance(error, NotPriced):
        return errors.NoProviderAvailable(
            "No allowed provider has a valid price; GET /v1/providers says what is missing.", providers=dict(reasons)
        )
    # Its Idempotency-Key was another request's by the time that money was held: the ledger was away when the key was looked at first.
    return errors.Conflict("Another request with this Idempotency-Key came before. Repeat this one.", retry_after_s=1)


def reason_of(error: Exception) -> str:
    """A code, and what was said."""
    code = next((word for kind, word in REFUSALS.items() if isinstance(error, kind)), None) or getattr(error, "code", "failed")
    return f"{code}: {error}"


def _listed(reasons: Mapping[str, str]) -> str:
    return "; ".join(f"{provider}: {reason}" for provider, reason in reasons.items())
