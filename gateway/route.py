"""Who is asked about a picture, in which order, and why not the others: what is known of each provider, put before `cost.router`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from cost.ledger import LedgerUnavailable
from cost.money import FREE, NANOS_PER_USD, Money
from cost.paced_budgets import Multipliers
from cost.price_sheets import NotRoutable
from cost.router import Considered, PricedCall, Quote, Snapshot
from cost.router import Route as Choice
from cost.router import choose_route as route_by_price_and_worth
from gateway.errors import InvalidParameter
from gateway.judge import Judge, Prospect
from gateway.line import Line
from gateway.outcome import Expected
from gateway.wire.options import Options
from providers import registry
from providers.contract import Feature
from providers.images import Image

_QUALITY_STEP = 0.01
"""Until records have taught how good each provider is, the operator's order of the enabled list stands for it."""


@dataclass(frozen=True, slots=True)
class Share:
    """One provider, and the features that it is asked for."""

    line: Line
    features: frozenset[Feature]


Step = tuple[Share, ...]
"""Who is asked at the same time: several only where the features are split."""


@dataclass(frozen=True, slots=True)
class Route:
    """Whom to ask.

    Attributes:
        steps: in order; each alone answers everything that is asked.
        considered: every provider, and what was decided about it.
        degraded: money or time left out one that would have been asked first.
        expected: what the policies in use expect of it.
    """

    steps: tuple[Step, ...]
    considered: tuple[Considered, ...]
    degraded: bool
    expected: Expected


def without(considered: Iterable[Considered], refused: Mapping[str, str]) -> tuple[Considered, ...]:
    """What was thought of each, once the ledger has refused some: their reasons by provider."""
    return tuple(one._replace(decision="skipped", reason=refused[one.provider]) if one.provider in refused else one for one in considered)


def choose_route(
    lines: Mapping[str, Line],
    image: Image,
    options: Options,
    max_cost: Money | None,
    deadline_ms: float,
    judge: Judge,
    multipliers: Multipliers,
    refused: Mapping[str, str] = MappingProxyType({}),
) -> Route:
    """The route within the request's limits. Providers that are not ready come last, since they may be in time.

    Args:
        lines: the enabled providers, in the operator's order.
        image: what is asked about.
        options: what is asked.
        max_cost: over all attempts.
        deadline_ms: the time left.
        judge: what was learned about the providers.
        multipliers: quality that a dollar must bring.
        refused: who need not be asked, by provider: the reason, in the contract's words.

    Raises:
        InvalidParameter: a provider that there is not.
    """
    features = frozenset(options.features)
    quotes = [
        _quote(lines.get(name), name, image, features, position, refused.get(name))
        for position, name in enumerate(_asked_for(lines, options))
    ]
    waiting = {quote.provider: quote for quote in quotes if quote.refusal and quote.refusal.startswith("not_ready")}
    prices = {quote.provider: sum((c.price for c in quote.calls if c.price is not None), FREE) for quote in quotes if quote.calls}
    prospect = judge.before(options.features, prices, multipliers)
    if prospect is not None:
        quotes = [_with_prospect(quote, prices.get(quote.provider, FREE), prospect, multipliers) for quote in quotes]
    multiplier = 0.0 if prospect is None else multipliers.all  # the operator's order is no quality that a dollar could be weighed against
    chosen = route_by_price_and_worth(Snapshot(features, tuple(quotes), options.strategy, max_cost, deadline_ms, multiplier=multiplier))
    steps = _steps(lines, features, chosen, waiting)
    considered = tuple(
        one._replace(decision="fallback" if chosen.attempts else "first")
        if one.provider in waiting
        else (_said(one) if prospect is None else one)
        for one in chosen.considered
    )
    return Route(steps, considered, chosen.degraded, _expected(prospect, steps, options))


def _steps(lines: Mapping[str, Line], features: frozenset[Feature], chosen: Choice, waiting: Iterable[str]) -> tuple[Step, ...]:
    """Whom to ask at once, then who can answer everything alone: the fallbacks, and last those that are not ready yet."""
    first = tuple(Share(lines[attempt.provider], features & attempt.features) for attempt in chosen.attempts)
    alone = [attempt.provider for attempt in chosen.fallbacks]
    alone += [name for name in waiting if features <= lines[name].provider.features]
    return (*([first] if first else []), *((Share(lines[name], features),) for name in alone))


def _with_prospect(quote: Quote, price: Money, prospect: Prospect, multipliers: Multipliers) -> Quote:
    """A provider that was learned about; where its own budget asks more of a dollar than the others', it is worth so much less."""
    if quote.provider not in prospect.quality:
        return replace(quote, quality=None)
    extra = (multipliers.of(quote.provider) - multipliers.all) * price.nanos / NANOS_PER_USD
    worth = prospect.worth.get(quote.provider)
    return replace(quote, quality=prospect.quality[quote.provider], worth=None if worth is None else worth - extra)


def _expected(prospect: Prospect | None, steps: Sequence[Step], options: Options) -> Expected:
    """What the answer is expected to be worth: with `auto` also through what may follow it."""
    if prospect is None or not steps:
        return Expected(None, None, "rules" if prospect is None else prospect.versions)
    first = [share.line.name for share in steps[0]]
    known = [prospect.quality[name] for name in first if name in prospect.quality]
    quality = sum(known) / len(known) if known else None
    if options.strategy == "auto" and prospect.quality.keys() <= {share.line.name for step in steps for share in step}:
        quality = prospect.overall
    elif options.strategy == "auto" and len(first) == 1 and quality is not None:
        quality = max(quality, prospect.worth.get(first[0], 0.0))  # less the price of what may follow: it is at least that good
    return Expected(None if quality is None else min(max(quality, 0.0), 1.0), prospect.target, prospect.versions)


def _asked_for(lines: Mapping[str, Line], options: Options) -> Iterable[str]:
    for name in options.providers or ():
        if name not in lines and name not in registry.names():
            raise InvalidParameter("providers", f"There is no provider {name!r}; enabled are: {', '.join(lines)}.")
    return options.providers or lines


def _quote(line: Line | None, name: str, image: Image, features: frozenset[Feature], position: int, refused: str | None) -> Quote:
    """What one provider offers for this picture now, or what stands against it."""
    if line is None:
        return Quote(name, (), refusal="disabled")
    mine = features & line.provider.features
    if not mine:
        return Quote(name, (), refusal=f"unsupported_feature: {', '.join(sorted(features))}")
    quote = Quote(
        provider=name,
        calls=(),
        latency_ms_p95=line.latency_ms(mine, 0.95),
        quality=1.0 - _QUALITY_STEP * position,
        billed=line.paid,
    )
    if line.paid and (problem := line.meter.ledger.problem):
        return replace(quote, refusal=f"ledger_unavailable: {problem}")
    if refused is not None:
        return replace(quote, refusal=refused)
    calls = []
    for call in line.provider.calls(mine):
        try:
            price = line.meter.quote(name, call)
        except LedgerUnavailable as error:
            return replace(quote, refusal=f"ledger_unavailable: {error}")
        if isinstance(price, NotRoutable):
            return replace(quote, refusal=f"unpriced: {price.reason}")
        calls.append(PricedCall(frozenset(call.features), price))
    return replace(quote, calls=tuple(calls), refusal=_refusal(line, image, mine), throttled=line.throttled(mine))


def _refusal(line: Line, image: Image, features: frozenset[Feature]) -> str | None:
    if refusal := line.provider.refusal(image, features):
        return f"image_refused: {refusal}"
    if problem := line.circuit_problem(features):
        return f"circuit_open: {problem}"
    health = line.provider.health()
    return None if health.ready else f"not_ready: {health.detail}"


def _said(one: Considered) -> Considered:
    """In words that claim nothing: the expected quality is only the operator's order here."""
    return one._replace(reason="first of the enabled list") if one.reason.startswith("expected_quality") else one
