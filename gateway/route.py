"""Who can answer a picture, in which order, and why not the others. No call is made and nothing is held here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from cost.money import Money
from cost.price_sheets import NotRoutable
from gateway.errors import InvalidParameter
from gateway.line import Line
from gateway.outcome import Considered
from gateway.wire.options import Options
from providers import registry
from providers.contract import Feature
from providers.images import Image


@dataclass(frozen=True, slots=True)
class Route:
    """The providers to try, in order, and what was thought of each."""

    lines: tuple[Line, ...]
    considered: tuple[Considered, ...]

    def without(self, refused: Mapping[str, str]) -> tuple[Considered, ...]:
        """What was thought of each, once the ledger has refused some: their reasons by provider."""
        return tuple(
            replace(one, decision="skipped", reason=refused[one.provider]) if one.provider in refused else one for one in self.considered
        )


def choose_route(lines: Mapping[str, Line], image: Image, options: Options, max_cost: Money | None) -> Route:
    """The providers that can answer, in the enabled list's order; those that are not ready last, since they may be in time.

    Raises:
        InvalidParameter: a provider that there is not.
    """
    features = frozenset(options.features)
    able: list[tuple[bool, Line, Considered]] = []
    skipped: list[Considered] = []
    for name in _asked_for(lines, options):
        line = lines.get(name)
        if line is None:
            skipped.append(Considered(name, None, None, "skipped", "disabled"))
            continue
        considered, ready = _consider(line, image, features, max_cost)
        if considered.decision == "skipped":
            skipped.append(considered)
        else:
            able.append((not ready, line, considered))
    able.sort(key=lambda one: one[0])
    return Route(tuple(line for _, line, _ in able), (*_in_order([one for *_, one in able]), *skipped))


def _asked_for(lines: Mapping[str, Line], options: Options) -> Iterable[str]:
    for name in options.providers or ():
        if name not in lines and name not in registry.names():
            raise InvalidParameter("providers", f"There is no provider {name!r}; enabled are: {', '.join(lines)}.")
    return options.providers or lines


def _consider(line: Line, image: Image, features: frozenset[Feature], max_cost: Money | None) -> tuple[Considered, bool]:
    """One provider: its price and speed, whether it can be asked, and whether it is ready now."""
    missing = sorted(features - line.provider.features)
    if missing:
        return Considered(line.name, None, None, "skipped", f"unsupported_feature: {', '.join(missing)}"), False
    if line.paid and (problem := line.meter.ledger.problem):
        return Considered(line.name, None, None, "skipped", f"ledger_unavailable: {problem}"), False
    price = line.meter.quote(line.name, line.provider.calls(features))
    latency_ms_p95 = line.latency_ms(features, 0.95)
    quoted = None if isinstance(price, NotRoutable) else price
    if reason := _reason_against(line, image, features, price, max_cost):
        return Considered(line.name, quoted, latency_ms_p95, "skipped", reason), False
    health = line.provider.health()
    reason = "" if health.ready else f"not_ready: {health.detail}"
    return Considered(line.name, quoted, latency_ms_p95, "next", reason), health.ready


def _reason_against(line: Line, image: Image, features: frozenset[Feature], price: Money | NotRoutable, max_cost: Money | None) -> str:
    if isinstance(price, NotRoutable):
        return f"no_price: {price.reason}"
    if max_cost is not None and price > max_cost:
        return f"over_max_cost: {price} of {max_cost} USD"
    if refusal := line.provider.refusal(image, features):
        return f"image_refused: {refusal}"
    problem = line.circuit_problem(features)
    return f"circuit_open: {problem}" if problem else ""


def _in_order(able: list[Considered]) -> list[Considered]:
    first = [replace(one, decision="first", reason=one.reason or "first of the enabled list") for one in able[:1]]
    return first + [replace(one, reason=one.reason or "fallback") for one in able[1:]]
