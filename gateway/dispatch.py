"""One picture's way, top to bottom: choose, call, fall back, answer. The only place with side effects."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.errors import DeadlineExceeded, GatewayError, InvalidImage, InvalidParameter, NoProviderAvailable, Overloaded
from gateway.ids import new_id
from gateway.line import IN_HOUSE, Line
from gateway.outcome import Considered, Outcome
from gateway.race import Leg, Race
from gateway.wire.options import Options
from providers import registry
from providers.contract import Feature, Health
from providers.errors import ImageRefused, ProviderOverloaded
from providers.images import Image

_FALLBACK_MS_P95 = 250.0
"""What a fallback is thought to take where nothing is known of its speed."""

_SLACK_S = 0.05
"""Threads start late on a busy machine: a fallback's own time is not enough."""


@dataclass(frozen=True, slots=True)
class Route:
    """The providers to try, in order, and what was thought of each."""

    lines: tuple[Line, ...]
    considered: tuple[Considered, ...]


class Dispatcher:
    """Answers pictures from the providers of one process. Shared by all its threads."""

    def __init__(self, lines: Sequence[Line], *, default_deadline_ms: int, simulated: bool = False) -> None:
        """Use these providers, in this order of preference."""
        self.lines = {line.name: line for line in lines}
        self._default_deadline_ms = default_deadline_ms
        self._simulated = simulated

    def detect(self, image: Image, options: Options) -> Outcome:
        """Find what is in a picture, within the request's limits.

        Raises:
            GatewayError: no provider could be asked, or none answered in time.
            providers.images.InvalidImage: the pixels can't be decoded. Nothing was sent to anybody.
        """
        started = time.monotonic()
        deadline = started + (options.deadline_ms or self._default_deadline_ms) / 1000
        image.pixels  # noqa: B018 -- decodes: a damaged picture must not cost a paid call
        route = self._choose(image, options)
        answer, race = None, Race(image, frozenset(options.features), deadline)
        if not options.dry_run:
            if not route.lines:
                raise _nobody_can(route)
            answer = self._ask_in_turn(race, route.lines, options)
            if answer is None:
                raise _nobody_did(race)
        return Outcome(
            id=new_id(),
            image=image,
            options=options,
            detections=answer.detections if answer else (),
            provider=answer.line.name if answer else None,
            model=answer.model if answer else None,
            degraded=answer is not None and answer.line.name == IN_HOUSE and route.lines[0].name != IN_HOUSE,
            simulated=self._simulated,
            latency_ms=(time.monotonic() - started) * 1000,
            attempts=race.attempts(),
            considered=route.considered,
        )

    def close(self) -> None:
        """Let running calls end."""
        for line in self.lines.values():
            line.close()

    def _choose(self, image: Image, options: Options) -> Route:
        """The providers that can answer, in the enabled list's order; those that are not ready last, since they may be in time."""
        features = frozenset(options.features)
        able: list[tuple[Line, Health]] = []
        skipped: list[Considered] = []
        for name in options.providers or self.lines:
            if name not in self.lines and name not in registry.names():
                raise InvalidParameter("providers", f"There is no provider {name!r}; there are: {', '.join(self.lines)}.")
            line = self.lines.get(name)
            reason = "disabled" if line is None else _reason_against(line, image, features)
            if line is None or reason:
                skipped.append(Considered(name, None, None, "skipped", reason))
            else:
                able.append((line, line.provider.health()))
        able.sort(key=lambda one: not one[1].ready)
        chosen = [
            Considered(
                line.name,
                None,
                line.latency_ms(features, 0.95),
                "next" if position else "first",
                "first of the enabled list" if not position else "fallback" if health.ready else f"not_ready: {health.detail}",
            )
            for position, (line, health) in enumerate(able)
        ]
        return Route(tuple(line for line, _ in able), (*chosen, *skipped))

    def _ask_in_turn(self, race: Race, lines: tuple[Line, ...], options: Options) -> Leg | None:
        """The first answer of the route's providers, the next asked where the one before fails or is late."""
        features = frozenset(options.features)
        for line, following in zip(lines, (*lines[1:], None), strict=True):
            circuit = line.circuit_key(features)
            if not line.breaker.allow(circuit, probe_s=race.deadline - time.monotonic()):
                continue
            race.start(line)
            until = race.deadline if following is None else _patience_until(race, line, following, features, hedge=options.hedge)
            if answer := race.wait(until):
                return answer
        return race.wait(race.deadline)


def _patience_until(race: Race, line: Line, following: Line, features: frozenset[Feature], *, hedge: bool) -> float:
    """When to ask the next provider although this one may still answer.

    In time for the next to answer before the deadline; earlier, when this one is later than 95 % of its answers, where asking costs
    nothing more (the in-house model) or the request wants it so.
    """
    now = time.monotonic()
    left_s = race.deadline - now
    fallback_ms = following.latency_ms(features, 0.95)
    fallback_s = (_FALLBACK_MS_P95 if fallback_ms is None else fallback_ms) / 1000 + _SLACK_S
    last_moment = race.deadline - min(fallback_s, left_s / 2)
    usual_ms = line.latency_ms(features, 0.95)
    if usual_ms is not None and (hedge or following.name == IN_HOUSE):
        return min(last_moment, now + usual_ms / 1000)
    return last_moment


def _reason_against(line: Line, image: Image, features: frozenset[Feature]) -> str:
    """Why this provider can't be asked about this picture; empty if it can."""
    missing = sorted(features - line.provider.features)
    if missing:
        return f"unsupported_feature: {', '.join(missing)}"
    if refusal := line.provider.refusal(image, features):
        return f"image_refused: {refusal}"
    circuit = line.circuit_key(features)
    return "" if line.breaker.would_allow(circuit) else f"circuit_open: {line.breaker.reason(circuit)}"


def _nobody_can(route: Route) -> GatewayError:
    reasons = {one.provider: one.reason for one in route.considered}
    if reasons and all(reason.startswith("image_refused") for reason in reasons.values()):
        return InvalidImage("No allowed provider takes this picture: " + "; ".join(f"{n}: {r}" for n, r in reasons.items()) + ".")
    return NoProviderAvailable("No allowed provider can answer this request; `providers` says why, one by one.", providers=reasons)


def _nobody_did(race: Race) -> GatewayError:
    errors = [leg.error for leg in race.legs if leg.error is not None]
    reasons = {leg.line.name: f"{leg.error.code}: {leg.error}" if leg.error else "late" for leg in race.legs}
    if errors and all(isinstance(error, ImageRefused) for error in errors):
        return InvalidImage("Every provider that was asked refused this picture.", providers=reasons)
    if errors and all(isinstance(error, ProviderOverloaded) for error in errors):
        return Overloaded("Every allowed provider is busy.", retry_after_s=1.0, providers=reasons)
    if time.monotonic() >= race.deadline:
        return DeadlineExceeded("No provider answered within deadline_ms.", providers=reasons)
    return NoProviderAvailable("Every provider that was asked failed.", providers=reasons)
