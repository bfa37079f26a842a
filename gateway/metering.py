"""Where calls meet money: no paid call is made without a hold in the ledger, and each ends settled, released or unknown."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from cost.in_house import machine_price
from cost.ledger import BudgetExhausted, Hold, IdempotencyKey, Ledger, LedgerError, LedgerUnavailable, NotPriced, OverMaxCost, UsageRow
from cost.money import FREE, Money
from cost.price_sheets import NotRoutable, PriceBook
from gateway.outcome import AnsweredCall, CacheUse
from gateway.quotes import Quotes
from gateway.reads import BoundedReads
from providers.contract import Answer, Call
from providers.errors import ProviderError

_MARGIN_S = 5.0
"""How much longer than its call a hold lives before it counts as unknown."""

REFUSALS: Mapping[type[LedgerError], str] = {
    BudgetExhausted: "budget_exhausted",
    OverMaxCost: "over_max_cost",
    NotPriced: "unpriced",
    LedgerUnavailable: "ledger_unavailable",
}
"""The ledger's refusals in the words of `routing.considered`."""


@dataclass(frozen=True, slots=True)
class Bill:
    """Who pays for a request, and how much at most.

    Attributes:
        request_id: the answer's id; all attempts of the request share `max_cost`.
        client: the key's name.
        key: of idempotency, checked in the transaction of each hold.
        tenant: the key's id: whose kept answers may serve.
    """

    request_id: str
    client: str
    tags: Mapping[str, str] = field(default_factory=dict)
    max_cost: Money | None = None
    key: IdempotencyKey | None = None
    tenant: str = ""


class Meter:
    """Prices calls and records what became of them. One a process, shared by its threads."""

    def __init__(
        self,
        ledger: Ledger,
        prices: PriceBook,
        reads: BoundedReads,
        usd_per_hour: Decimal = Decimal(0),
    ) -> None:
        """Record in this ledger. `usd_per_hour` is what the in-house model's machine costs."""
        self.ledger = ledger
        self.prices = prices
        self.usd_per_hour = usd_per_hour
        self._quotes = Quotes(ledger, prices, reads)

    def is_paid(self, provider: str) -> bool:
        """Whether somebody sends an invoice. A provider without a price sheet is paid: its price is unknown, not zero."""
        sheet = self.prices.get(provider)
        return sheet is None or not sheet.imputed

    def quote(self, provider: str, call: Call) -> Money | NotRoutable:
        """What a call costs at this moment's month-to-date units, or why nobody can say.

        Raises:
            LedgerUnavailable: see `Quotes.price`.
        """
        return self._quotes.price(provider, call) if self.is_paid(provider) else FREE

    def hold(self, provider: str, call: Call, bill: Bill, timeout_s: float, within_s: float) -> "Held":
        """Hold the price of one attempt that takes `timeout_s` at most. At return it is durable: now the call may be made.

        The ledger may take `within_s` seconds.

        Raises:
            LedgerError: there is no room, no price, or no ledger. Nothing is held, and nothing may be sent.
        """
        if not self.is_paid(provider):
            return Held(None, "", FREE)
        hold = Hold(
            provider=provider,
            usage={usage.sku: usage.units for usage in call.usage},
            request_id=bill.request_id,
            client=bill.client,
            features=frozenset(call.features),
            timeout_s=timeout_s + _MARGIN_S,
            tags=bill.tags,
            max_cost=bill.max_cost,
        )
        reservation = self.ledger.reserve(hold, key=bill.key, within_s=within_s)
        return Held(self.ledger, reservation.attempt_id, reservation.price)

    def note_kept(self, bill: Bill, use: CacheUse, calls: Iterable[AnsweredCall], features: frozenset[str]) -> None:
        """Record an answer for these features that nobody was asked for, and what its calls cost when they were made. Never waits."""
        for call in calls:
            if not call.features & features:
                continue
            price = call.price
            for usage in call.usage:
                self.ledger.record_usage(
                    UsageRow(
                        kind="hit" if use == "hit" else "joined",
                        request_id=bill.request_id,
                        client=bill.client,
                        provider=call.provider,
                        features=frozenset(call.features),
                        sku=usage.sku,
                        units=usage.units,
                        avoided=price,
                        tags=bill.tags,
                    )
                )
                price = FREE  # of the whole call: it stands in its first row

    def note_in_house(self, bill: Bill, call: Call, provider: str, machine_us: int, avoided: Money) -> None:
        """Record an answer that nobody bills, and what the machine's time for it cost. Never waits and never fails."""
        imputed = machine_price(self.usd_per_hour, machine_us)
        for usage in call.usage:
            self.ledger.record_usage(
                UsageRow(
                    kind="in_house",
                    request_id=bill.request_id,
                    client=bill.client,
                    provider=provider,
                    features=frozenset(call.features),
                    sku=usage.sku,
                    units=usage.units,
                    imputed=imputed,
                    avoided=avoided,
                    tags=bill.tags,
                )
            )


@dataclass(frozen=True, slots=True)
class Held:
    """The money of one attempt, from its hold to its end."""

    _ledger: Ledger | None
    _attempt_id: str
    price: Money

    def answered(self, answer: Answer) -> None:
        """It was billed."""
        if self._ledger:
            self._ledger.settle(self._attempt_id, provider_request_id=answer.provider_request_id)

    def failed(self, error: ProviderError) -> None:
        """It was surely not billed, or it may have been: then it counts as spent."""
        if self._ledger and error.maybe_billed:
            self._ledger.unknown(self._attempt_id, outcome=error.code, provider_request_id=error.provider_request_id)
        elif self._ledger:
            self._ledger.release(self._attempt_id, outcome=error.code, provider_request_id=error.provider_request_id)

    def cost_of(self, error: ProviderError) -> Money:
        """What a try that ended so has cost, as far as anybody knows."""
        return self.price if error.maybe_billed else FREE
