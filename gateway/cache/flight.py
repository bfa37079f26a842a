"""Identical requests in one process: the first asks, the others wait for it."""

import threading
import time
from collections.abc import Callable

from gateway.errors import DeadlineExceeded
from gateway.outcome import Outcome


class StillFlying(DeadlineExceeded):
    """The identical request that this one waited for was not back in time."""

    def __init__(self) -> None:
        super().__init__(
            "The identical request that this one waited for did not end within deadline_ms. Send it again: once it has, its answer is kept."
        )


class Flight:
    """One request that asks, and what it brought: None until it has landed, and where it failed."""

    def __init__(self, over: Callable[[], None]) -> None:
        self._over = over
        self.held = False
        self.landed = threading.Event()
        self.outcome: Outcome | None = None

    def hold(self) -> Callable[[Outcome | None], None]:
        """What is brought now does not serve others, but more is on its way: they wait on, until what this returns is called."""
        self.held = True
        return self.land

    def land(self, outcome: Outcome | None) -> None:
        """It is over, and has brought this."""
        self.outcome = outcome
        self._over()
        self.landed.set()


class Flights:
    """Those of one process. As many as threads that lead one, so memory is bounded by the threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flights: dict[str, Flight] = {}

    def fly(self, key: str, ask: Callable[[Flight], Outcome], serves: Callable[[Outcome], bool], deadline: float) -> tuple[Outcome, bool]:
        """What `ask` brings, or what the same request's `ask` brings that is on its way; and whether it was waited for.

        Where the one that asks fails, or brings what does not serve, exactly one of those that wait asks next; the others wait for it.

        Args:
            key: the same for requests that one answer serves.
            ask: called in this thread, where nobody else asks.
            serves: whether an outcome is good enough for those that waited.
            deadline: of waiting, on the monotonic clock, in seconds.

        Raises:
            StillFlying: nobody brought anything in time.
            Exception: whatever `ask` raised in this thread.
        """
        while True:
            with self._lock:
                flight = self._flights.get(key)
                if mine := flight is None:
                    flight = self._flights[key] = Flight(lambda: self._forget(key))
            if mine:
                return _lead(flight, ask), False
            if not flight.landed.wait(max(deadline - time.monotonic(), 0.0)):
                raise StillFlying
            if flight.outcome is not None and serves(flight.outcome):
                return flight.outcome, True

    def _forget(self, key: str) -> None:
        with self._lock:
            del self._flights[key]


def _lead(flight: Flight, ask: Callable[[Flight], Outcome]) -> Outcome:
    outcome = None
    try:
        outcome = ask(flight)
    finally:
        if not flight.held:
            flight.land(outcome)
    return outcome
