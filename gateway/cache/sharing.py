"""The story of a request that may be somebody else's too: a kept answer serves, or one on its way, or this one asks for all of them."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from cost.money import FREE
from cost.router import Considered
from gateway.cache.flight import Flight, Flights, StillFlying
from gateway.cache.keys import Place
from gateway.cache.results import Call, Results, shared_key
from gateway.cache.shared_flight import Brought, SharedFlights, Ticket
from gateway.cache.values import Kept
from gateway.line import Line
from gateway.metering import Bill
from gateway.outcome import AnsweredCall, CacheUse, Outcome
from gateway.race import Leg, Race
from gateway.wire.options import Options
from providers.contract import Detection
from providers.images import Image


@dataclass(slots=True)
class Refusals:
    """Of one picture: who would not take it lately, by name, and whoever refuses it now, call by call.

    Attributes:
        race: whose paid calls still run when the request is over; None: none does.
    """

    known: Mapping[str, str] = field(default_factory=dict)
    told: list[tuple[Call, str]] = field(default_factory=list)
    race: Race | None = None


_FALLBACK_MS_P95 = 250.0
"""What the in-house model is thought to take where nothing is known of its speed."""

_SLACK_S = 0.05

_KEPT_S = 10.0
"""What is kept is written within so long, or the database is away."""

Ask = Callable[[Options, Refusals], Outcome]


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks what about which picture, until when, and how it is asked if nobody else has.

    Attributes:
        deadline, started, waits_until: on the monotonic clock, in seconds; the last of waiting for others.
    """

    image: Image
    options: Options
    bill: Bill
    deadline: float
    ask: Ask
    started: float
    waits_until: float = 0.0


class Sharing:
    """What requests of one gateway share. One a process."""

    def __init__(self, results: Results, flights: SharedFlights, lines: Mapping[str, Line], *, simulated: bool = False) -> None:
        self.results = results
        self.simulated = simulated
        self._here = Flights()
        self._everywhere = flights
        self._lines = lines
        self._late: set[Flight] = set()

    def known(self, digest: str, options: Options, bill: Bill) -> Kept | None:
        """The kept answer for exactly these bytes. Nothing of the picture is looked at."""
        if options.cache != "use" or options.dry_run:
            return None
        place = self.results.place(options, bill)
        return None if place is None else self.results.find(place, digest)

    def answer(self, request: Request) -> Outcome:
        """The request's own answer, or one that serves it: `cache` says which.

        Raises:
            GatewayError: what asking raised, or the deadline while another was asking.
        """
        options = request.options
        place = None if options.cache == "off" or options.dry_run else self.results.place(options, request.bill)
        if place is None:
            return request.ask(options, Refusals())
        if options.cache == "refresh":
            outcome = self._asked(request, place, Refusals())
            self.results.keep(place, outcome)
            return outcome
        key = f"{place.bytes_key(request.image.digest)}:{options.near}"  # what looks the same serves only those who said so
        fallback = self._fallback(options)
        patient = replace(request, waits_until=request.deadline - self._fallback_s(request, fallback))
        try:
            outcome, joined = self._here.fly(key, lambda flight: self._lead(patient, place, flight), _serves_others, patient.waits_until)
        except StillFlying:
            if not fallback:
                raise
            return self._fallen_back(request, fallback)
        return _given(outcome, request, "joined") if joined else outcome

    def close(self) -> None:
        """Once every call has ended: let what came late be kept, and give everything back."""
        for flight in list(self._late):
            flight.landed.wait(_KEPT_S)
        self._everywhere.close()
        self.results.store.close()

    def _lead(self, request: Request, place: Place, flight: Flight) -> Outcome:
        """For all identical requests of this process."""
        image = request.image
        if kept := self.results.find(place, image.digest):
            return self._outcome_of(kept, request, "hit")
        image.pixels  # noqa: B018 -- decodes: a damaged picture ends here
        if kept := self.results.find_same(place, image):
            return self._outcome_of(kept, request, "hit")
        if request.options.near and (near := self.results.find_near(place, image, request.options.near)):
            return replace(self._outcome_of(near[0], request, "hit"), near=near[1])
        if not self._may_be_paid(request.options):
            outcome = self._asked(request, place, self._refusals(request, place))
            self.results.keep(place, outcome)
            return outcome
        return self._lead_everywhere(request, place, flight)

    def _lead_everywhere(self, request: Request, place: Place, flight: Flight) -> Outcome:
        """For those of all processes: somebody may have to pay."""
        key = shared_key(place, request.image)
        boarded = self._everywhere.board(key, request.waits_until)
        if isinstance(boarded, Brought):
            if kept := self.results.brought(place, boarded.value, request.image):
                return self._outcome_of(kept, request, "joined" if boarded.waited else "hit")
            self._everywhere.discard(key)
            boarded = self._everywhere.board(key, request.waits_until)
            if isinstance(boarded, Brought):  # again: by a process that is older than this one
                return self._asked(request, place, self._refusals(request, place))
        refusals, value = self._refusals(request, place), None
        try:
            outcome = self._asked(request, place, refusals)
            value = self.results.keep(place, outcome)
        finally:
            if value is None and refusals.race is not None:
                self._keep_late(request, place, refusals.race, flight, boarded)
            else:
                boarded.land(value)
        return outcome

    def _keep_late(self, request: Request, place: Place, race: Race, flight: Flight, ticket: Ticket) -> None:
        """A paid call is still on its way: nobody pays for another meanwhile, and what it brings is kept and serves those that wait."""
        land = flight.hold()
        self._late.add(flight)

        def finish(leg: Leg | None) -> None:
            outcome = None if leg is None else self._outcome(request, leg.detections, leg.name, leg.model, leg.calls)
            value = None
            try:
                value = None if outcome is None else self.results.keep(place, outcome)
            finally:
                ticket.land(value)
                land(outcome)
                self._late.discard(flight)

        race.when_over(finish)

    def _refusals(self, request: Request, place: Place) -> Refusals:
        return Refusals(self.results.refusals(place, request.image.digest))

    def _asked(self, request: Request, place: Place, refusals: Refusals) -> Outcome:
        try:
            return replace(request.ask(request.options, refusals), cache="miss")
        finally:
            self.results.remember_refusals(place, request.image.digest, refusals.told)

    def _fallback(self, options: Options) -> tuple[str, ...]:
        """Providers that bill nobody, and may answer this instead of waiting on."""
        allowed = options.providers or tuple(self._lines)
        features = frozenset(options.features)
        return tuple(name for name, line in self._lines.items() if name in allowed and not line.paid and features <= line.provider.features)

    def _fallback_s(self, request: Request, fallback: tuple[str, ...]) -> float:
        """What is left of the time for them; half of it at most."""
        if not fallback:
            return 0.0
        usual_ms = self._lines[fallback[0]].latency_ms(frozenset(request.options.features), 0.95)
        usual_s = (_FALLBACK_MS_P95 if usual_ms is None else usual_ms) / 1000
        return min(usual_s + _SLACK_S, (request.deadline - time.monotonic()) / 2)

    def _fallen_back(self, request: Request, fallback: tuple[str, ...]) -> Outcome:
        """In house, and told so: the one that is waited for pays already, so that nobody else does."""
        options = request.options.model_copy(update={"providers": fallback})
        outcome = request.ask(options, Refusals())
        waiting = [
            Considered(name, None, None, "skipped", "an identical request has asked it and is not back yet")
            for name, line in self._lines.items()
            if line.paid and name in (request.options.providers or self._lines)
        ]
        considered = (*outcome.considered, *waiting)
        return replace(outcome, options=request.options, cache="miss", degraded=bool(waiting), considered=considered)

    def _may_be_paid(self, options: Options) -> bool:
        return any(
            line.paid and line.meter.ledger.problem is None
            for name, line in self._lines.items()
            if name in (options.providers or self._lines)
        )

    def _outcome_of(self, kept: Kept, request: Request, use: CacheUse) -> Outcome:
        return _given(self._outcome(request, kept.detections(), kept.provider, kept.model, kept.calls), request, use)

    def _outcome(
        self, request: Request, detections: tuple[Detection, ...], provider: str, model: str, calls: tuple[AnsweredCall, ...]
    ) -> Outcome:
        """What somebody answered at another moment."""
        return Outcome(
            id=request.bill.request_id,
            image=request.image,
            options=request.options,
            detections=detections,
            provider=provider,
            model=model,
            calls=calls,
            simulated=self.simulated,
        )


def _serves_others(outcome: Outcome) -> bool:
    """What money or time of its own request cut short does not serve others."""
    return not outcome.degraded


def _given(outcome: Outcome, request: Request, use: CacheUse) -> Outcome:
    """Another request's answer as this one's: it costs nothing, and nobody was asked for it."""
    return replace(
        outcome,
        id=request.bill.request_id,
        image=request.image,
        options=request.options,
        cost=FREE,
        cache=use,
        latency_ms=(time.monotonic() - request.started) * 1000,
        attempts=(),
        considered=(),
    )
