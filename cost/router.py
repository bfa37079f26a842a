"""Which provider is asked first, who may follow, and why: a pure function of a snapshot.

It never raises and always decides alike. It decides before anything was answered; what follows an answer is `Policy.judge`'s to decide,
among the route's fallbacks. The limits hold here for what a route expects to cost and take; they are hard in the reservation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from cost.money import NANOS_PER_USD, Money

Strategy = Literal["auto", "cheapest", "fastest", "best"]
Decision = Literal["first", "also", "fallback", "escalation", "skipped"]

UNKNOWN_QUALITY = 0.5


@dataclass(frozen=True, slots=True)
class PricedCall:
    """One request to a provider: the features that it answers, and its marginal price now; None when nobody knows it."""

    features: frozenset[str]
    price: Money | None


@dataclass(frozen=True, slots=True)
class Quote:
    """What one provider offers for this picture now.

    Attributes:
        provider: its name.
        calls: the requests that would answer the wanted features it has; each feature in one of them.
        latency_ms_p95: of a call; None when not known yet.
        quality: calibrated expected reward of its answer, in [0, 1]; None when nothing is known.
        worth: what the policy expects of asking it first, all that may follow included (`Policy.judge({}).gains`); None: its quality.
        billed: whether a call costs real money. What only imputes a cost is never stopped by money.
        refusal: why it can't be asked about this picture; None if it can.
        throttled: why others should rather be asked now: it is the last resort; empty: nothing speaks against it.
    """

    provider: str
    calls: tuple[PricedCall, ...]
    latency_ms_p95: float | None = None
    quality: float | None = None
    worth: float | None = None
    billed: bool = True
    refusal: str | None = None
    throttled: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a route depends on.

    Attributes:
        features: what is asked for; not empty.
        quotes: one a provider.
        strategy: see the contract.
        max_cost: what may still be spent on this request; None: no limit of its own.
        deadline_ms: time left.
        multiplier: reward that a dollar must bring now, from pacing.
    """

    features: frozenset[str]
    quotes: tuple[Quote, ...]
    strategy: Strategy = "auto"
    max_cost: Money | None = None
    deadline_ms: float = 10_000.0
    multiplier: float = 100.0


class Attempt(NamedTuple):
    """One provider to ask for these features, at the price of the calls that takes."""

    provider: str
    features: frozenset[str]
    price: Money


class Considered(NamedTuple):
    """What became of one provider, in the contract's words."""

    provider: str
    price: Money | None
    latency_ms_p95: float | None
    decision: Decision
    reason: str


@dataclass(frozen=True, slots=True)
class Route:
    """Whom to ask.

    Attributes:
        attempts: asked first, all of them: several only when features are split.
        fallbacks: in order, if an attempt fails; each alone is within the limits.
        considered: every provider, in the order of the quotes; an `escalation` is a fallback that may follow a good answer, too.
        degraded: money, time or its own rate left out a provider that the strategy would have asked first.
    """

    attempts: tuple[Attempt, ...]
    fallbacks: tuple[Attempt, ...]
    considered: tuple[Considered, ...]
    degraded: bool = False


@dataclass(slots=True)
class _Offer:
    """A quote that was read: what stands against it, and its figures as plain numbers."""

    quote: Quote
    features: frozenset[str]
    nanos: int
    p95: float
    quality: float
    worth: float
    against: str | None

    def price(self, wanted: frozenset[str]) -> int:
        """Nano-dollars of the calls that it takes to answer what is wanted."""
        if wanted >= self.features:
            return self.nanos
        return sum(call.price.nanos for call in self.quote.calls if call.price is not None and call.features & wanted)

    def attempt(self, wanted: frozenset[str]) -> Attempt:
        mine = wanted & self.features
        return Attempt(self.quote.provider, mine, Money(self.price(mine)))


def choose_route(snapshot: Snapshot) -> Route:
    """The route for this snapshot, with the reason for every provider taken or left."""
    offers = [_read(quote, snapshot) for quote in snapshot.quotes]
    usable = [o for o in offers if o.against is None]
    fresh = [o for o in usable if not o.quote.throttled]
    in_time = [o for o in fresh if o.p95 <= snapshot.deadline_ms]
    taken = _cover(snapshot, in_time)
    last_resort = [] if taken else _cover(snapshot, fresh) or _cover(snapshot, usable)
    reasons: dict[str, tuple[Decision, str]] = {}
    for o, wanted in taken or last_resort:
        word: Decision = "first" if not reasons else "also"
        reasons[o.quote.provider] = (word, "nothing_else_can_answer" if last_resort else _why(snapshot, o, wanted, fresh))
    taken = taken or last_resort
    attempts = tuple(o.attempt(wanted) for o, wanted in taken)
    fallbacks = _followers(snapshot, in_time, taken, reasons)
    if attempts and len(fresh) < len(usable):
        fallbacks += _last_resorts(snapshot, usable, reasons)
    too_dear = not taken and snapshot.features == frozenset().union(*(o.features for o in usable))
    considered = tuple(_considered(o, snapshot, reasons, too_dear=too_dear) for o in offers)
    return Route(attempts, fallbacks, considered, bool(attempts) and _degraded(snapshot, offers, taken))


def _read(quote: Quote, snapshot: Snapshot) -> _Offer:
    """A quote's figures, and the first thing that stands against it."""
    features: frozenset[str] = frozenset()
    nanos, unpriced = 0, False
    for call in quote.calls:
        wanted = call.features & snapshot.features
        if wanted:
            features |= wanted
            unpriced |= call.price is None
            nanos += call.price.nanos if call.price is not None else 0
    p95 = quote.latency_ms_p95
    quality = quote.quality if quote.quality is not None and math.isfinite(quote.quality) else UNKNOWN_QUALITY
    against = None
    if quote.refusal is not None:
        against = quote.refusal
    elif not features:
        against = "unsupported_feature"
    elif unpriced:
        against = "unpriced"
    elif quote.billed and snapshot.max_cost is not None and nanos > snapshot.max_cost.nanos < _least(quote, snapshot):
        against = "over_max_cost"
    worth = quote.worth if snapshot.strategy == "auto" and quote.worth is not None and math.isfinite(quote.worth) else quality
    return _Offer(quote, features, nanos, p95 if p95 is not None and math.isfinite(p95) else 0.0, quality, worth, against)


def _least(quote: Quote, snapshot: Snapshot) -> int:
    """The cheapest call of a quote: dearer than the limit, and nothing of it can be afforded."""
    return min(call.price.nanos for call in quote.calls if call.price is not None and call.features & snapshot.features)


def _cover(snapshot: Snapshot, offers: list[_Offer]) -> list[tuple[_Offer, frozenset[str]]]:
    """Who answers which features, as the strategy likes it best within the money; empty when they can't be answered.

    One provider for all of them, or the best for each one: whichever the strategy prefers.
    """
    covers = [[(o, snapshot.features)] for o in offers if o.features == snapshot.features and _affordable_alone(snapshot, o)]
    if len(snapshot.features) > 1:
        for strategy in (snapshot.strategy, "cheapest"):
            split = _split(snapshot, offers, strategy)
            if len(split) > 1 and _affordable(snapshot, split):
                covers.append(split)
    return min(covers, key=lambda cover: _liking(snapshot, cover)) if len(covers) > 1 else next(iter(covers), [])


def _split(snapshot: Snapshot, offers: list[_Offer], strategy: str) -> list[tuple[_Offer, frozenset[str]]]:
    """Feature by feature the best offer; a call that is paid already answers its other features for nothing."""
    shares: dict[str, tuple[_Offer, frozenset[str]]] = {}
    for feature in sorted(snapshot.features):
        best = None
        for o in offers:
            if feature not in o.features:
                continue
            before = shares[o.quote.provider][1] if o.quote.provider in shares else frozenset()
            wanted = before | {feature}
            more = o.price(wanted) - o.price(before)
            rank = _rank(snapshot, strategy, more, o.p95, o.worth, o.quote.provider)
            if best is None or rank < best[0]:
                best = (rank, o, wanted)
        if best is None:
            return []
        shares[best[1].quote.provider] = (best[1], best[2])
    return list(shares.values())


def _affordable(snapshot: Snapshot, cover: list[tuple[_Offer, frozenset[str]]]) -> bool:
    return snapshot.max_cost is None or sum(o.price(w) for o, w in cover if o.quote.billed) <= snapshot.max_cost.nanos


def _affordable_alone(snapshot: Snapshot, offer: _Offer) -> bool:
    return snapshot.max_cost is None or not offer.quote.billed or offer.nanos <= snapshot.max_cost.nanos


def _liking(snapshot: Snapshot, cover: list[tuple[_Offer, frozenset[str]]]) -> tuple[float | int | str, ...]:
    """Less is better."""
    if len(cover) == 1:
        return _liking_alone(snapshot, cover[0][0])
    nanos = sum(o.price(wanted) for o, wanted in cover)
    worth = sum(o.worth * len(wanted) for o, wanted in cover) / len(snapshot.features)
    return _rank(snapshot, snapshot.strategy, nanos, max(o.p95 for o, _ in cover), worth, cover[0][0].quote.provider)


def _liking_alone(snapshot: Snapshot, offer: _Offer) -> tuple[float | int | str, ...]:
    """Of one that answers all that is wanted."""
    features = len(snapshot.features)
    worth = offer.worth * features / features  # rounded as several are, so that equals stay equal
    return _rank(snapshot, snapshot.strategy, offer.nanos, offer.p95, worth, offer.quote.provider)


def _rank(snapshot: Snapshot, strategy: str, nanos: int, p95: float, worth: float, name: str) -> tuple[float | int | str, ...]:
    if strategy == "cheapest":
        return nanos, -worth, p95, name
    if strategy == "fastest":
        return p95, nanos, -worth, name
    if strategy == "best":
        return -worth, nanos, p95, name
    return snapshot.multiplier * nanos / NANOS_PER_USD - worth, nanos, p95, name


def _why(snapshot: Snapshot, offer: _Offer, wanted: frozenset[str], usable: list[_Offer]) -> str:
    """Why this one is asked first."""
    if len(usable) == 1:
        return "only_one"
    if wanted != snapshot.features:
        return "best_split"
    if snapshot.strategy != "auto":
        return snapshot.strategy
    if all(offer.nanos <= o.nanos for o in usable if o.features == wanted):
        return "cheapest"
    return f"expected_quality {offer.quality:.2f} at this price"


def _followers(
    snapshot: Snapshot, in_time: list[_Offer], taken: list[tuple[_Offer, frozenset[str]]], reasons: dict[str, tuple[Decision, str]]
) -> tuple[Attempt, ...]:
    """Fallbacks, as the strategy likes them; the reasons tell which of them is worth more than the first answer, and fits beside it."""
    if not taken:
        return ()
    whole = [o for o in in_time if o.features == snapshot.features]
    rest = [o for o in whole if o.quote.provider not in reasons and _affordable_alone(snapshot, o)]
    rest.sort(key=lambda o: _liking_alone(snapshot, o))
    spent = sum(o.price(w) for o, w in taken if o.quote.billed)
    took = max(o.p95 for o, _ in taken)
    quality = min(o.quality for o, _ in taken)
    for o in rest:
        gain = o.quality - quality
        fits = snapshot.max_cost is None or not o.quote.billed or spent + o.nanos <= snapshot.max_cost.nanos
        if snapshot.strategy == "auto" and gain > 0.0 and fits and took + o.p95 <= snapshot.deadline_ms:
            worth = gain / snapshot.multiplier if snapshot.multiplier > 0.0 else math.inf
            reasons[o.quote.provider] = ("escalation", f"expected_gain {gain:.2f} worth {worth:.4f} USD")
        else:
            reasons[o.quote.provider] = ("fallback", "if_it_fails")
    return tuple(o.attempt(snapshot.features) for o in rest)


def _last_resorts(snapshot: Snapshot, usable: list[_Offer], reasons: dict[str, tuple[Decision, str]]) -> tuple[Attempt, ...]:
    """Those that were asked too often lately, if all others fail."""
    throttled = [o for o in usable if o.quote.throttled and o.features == snapshot.features and o.quote.provider not in reasons]
    affordable = [o for o in throttled if _affordable_alone(snapshot, o)]
    affordable.sort(key=lambda o: _liking_alone(snapshot, o))
    reasons |= {o.quote.provider: ("fallback", o.quote.throttled) for o in affordable}
    return tuple(o.attempt(snapshot.features) for o in affordable)


def _considered(offer: _Offer, snapshot: Snapshot, reasons: Mapping[str, tuple[Decision, str]], *, too_dear: bool) -> Considered:
    """What became of an offer; `too_dear` where the features could be had, but not within the money."""
    quote = offer.quote
    price = None if offer.against == "unpriced" or not offer.features else Money(offer.nanos)
    if quote.provider in reasons:
        return Considered(quote.provider, price, quote.latency_ms_p95, *reasons[quote.provider])
    against = offer.against
    if against is None and offer.p95 > snapshot.deadline_ms:
        against = "over_deadline"
    elif against is None and quote.throttled:
        against = quote.throttled
    elif against is None:
        missing = snapshot.features - offer.features
        against = f"unsupported_feature: {', '.join(sorted(missing))}" if missing and not too_dear else "over_max_cost"
    return Considered(quote.provider, price, quote.latency_ms_p95, "skipped", against)


def _degraded(snapshot: Snapshot, offers: list[_Offer], taken: list[tuple[_Offer, frozenset[str]]]) -> bool:
    """Whether one that money or time left out, or that is asked too often, would have been asked first."""
    left_out = [
        o
        for o in offers
        if o.features == snapshot.features
        and (o.against == "over_max_cost" or (o.against is None and (o.p95 > snapshot.deadline_ms or o.quote.throttled)))
    ]
    if not left_out:
        return False
    chosen = _liking(snapshot, taken)
    return any(_liking_alone(snapshot, o) < chosen for o in left_out)
