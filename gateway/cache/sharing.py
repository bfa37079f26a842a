"""The story of a request that may be somebody else's too: a kept answer serves, or one on its way, or this one asks for all of them."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from cost.money import FREE
from gateway.cache.flight import Flights
from gateway.cache.keys import Place
from gateway.cache.results import Call, Results, shared_key
from gateway.cache.shared_flight import Brought, SharedFlights
from gateway.cache.values import Kept
from gateway.line import Line
from gateway.metering import Bill
from gateway.outcome import CacheUse, Outcome
from gateway.wire.options import Options
from providers.images import Image


@dataclass(slots=True)
class Refusals:
    """Of one picture: who would not take it lately, by name, and whoever refuses it now, call by call."""

    known: Mapping[str, str] = field(default_factory=dict)
    told: list[tuple[Call, str]] = field(default_factory=list)


Ask = Callable[[Refusals], Outcome]


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks what about which picture, until when, and how it is asked if nobody else has."""

    image: Image
    options: Options
    bill: Bill
    deadline: float
    ask: Ask
    started: float


class Sharing:
    """What requests of one gateway share. One a process."""

    def __init__(self, results: Results, flights: SharedFlights, lines: Mapping[str, Line], *, simulated: bool = False) -> None:
        self.results = results
        self.simulated = simulated
        self._here = Flights()
        self._everywhere = flights
        self._lines = lines

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
            return request.ask(Refusals())
        if options.cache == "refresh":
            outcome = self._asked(request, place, Refusals())
            self.results.keep(place, outcome)
            return outcome
        key = f"{place.bytes_key(request.image.digest)}:{options.near}"  # what looks the same serves only those who said so
        outcome, joined = self._here.fly(key, lambda: self._lead(request, place), _serves_others, request.deadline)
        return _given(outcome, request, "joined") if joined else outcome

    def close(self) -> None:
        """Give everything back."""
        self._everywhere.close()
        self.results.store.close()

    def _lead(self, request: Request, place: Place) -> Outcome:
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
            outcome = self._asked_with_refusals(request, place)
            self.results.keep(place, outcome)
            return outcome
        return self._lead_everywhere(request, place)

    def _lead_everywhere(self, request: Request, place: Place) -> Outcome:
        """For those of all processes: somebody may have to pay."""
        key = shared_key(place, request.image)
        flight = self._everywhere.board(key, request.deadline)
        if isinstance(flight, Brought):
            if kept := self.results.brought(place, flight.value, request.image):
                return self._outcome_of(kept, request, "joined" if flight.waited else "hit")
            self._everywhere.discard(key)
            flight = self._everywhere.board(key, request.deadline)
            if isinstance(flight, Brought):  # again: by a process that is older than this one
                return self._asked_with_refusals(request, place)
        value = None
        try:
            outcome = self._asked_with_refusals(request, place)
            value = self.results.keep(place, outcome)
        finally:
            flight.land(value)
        return outcome

    def _asked_with_refusals(self, request: Request, place: Place) -> Outcome:
        return self._asked(request, place, Refusals(self.results.refusals(place, request.image.digest)))

    def _asked(self, request: Request, place: Place, refusals: Refusals) -> Outcome:
        try:
            return replace(request.ask(refusals), cache="miss")
        finally:
            self.results.remember_refusals(place, request.image.digest, refusals.told)

    def _may_be_paid(self, options: Options) -> bool:
        return any(
            line.paid and line.meter.ledger.problem is None
            for name, line in self._lines.items()
            if name in (options.providers or self._lines)
        )

    def _outcome_of(self, kept: Kept, request: Request, use: CacheUse) -> Outcome:
        outcome = Outcome(
            id=request.bill.request_id,
            image=request.image,
            options=request.options,
            detections=kept.detections(),
            provider=kept.provider,
            model=kept.model,
            calls=kept.calls,
            simulated=self.simulated,
        )
        return _given(outcome, request, use)


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
