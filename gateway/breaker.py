"""Leaving a sick provider alone for a while, and finding out with one call whether it is well again."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from gateway.monitoring.numbers import gauge

State = Literal["closed", "open", "half_open"]

_FAILURES_IN_A_ROW = 5
_WINDOW_CALLS = 20
_FAILED_SHARE_MAX = 0.5
_COOLDOWN_S = 5.0
_COOLDOWN_S_MAX = 120.0


OPEN = gauge("gateway_circuit_open", "1 while one process at least leaves a provider alone.", "provider", "feature", across="livemax")


@dataclass(slots=True)
class _Circuit:
    results: deque[bool] = field(default_factory=lambda: deque(maxlen=_WINDOW_CALLS))
    failures_in_a_row: int = 0
    times_opened: int = 0
    opened_at: float = 0.0
    open_until: float | None = None
    probing_since: float = 0.0
    probing_until: float = 0.0
    reason: str = ""


class Breaker:
    """One circuit a key. Opens on five failures in a row, or on more than half of the last twenty; rests for 5 s, doubling to 120 s.

    After the rest one call, and one only, is let through as a probe: its success closes the circuit, its failure opens it again. By when
    they were let pass (`passed_at`, on the monotonic clock) calls from before, which may take long to end, are told from the probe.
    """

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._circuits: dict[str, _Circuit] = {}
        self._lock = threading.Lock()

    def state(self, key: str) -> State:
        """Whether calls pass: `half_open` means that a probe may go or is on its way."""
        with self._lock:
            circuit = self._circuits.get(key)
            if circuit is None or circuit.open_until is None:
                return "closed"
            return "open" if self._monotonic() < circuit.open_until else "half_open"

    def reason(self, key: str) -> str:
        """Why the circuit is not closed; empty when it is."""
        with self._lock:
            circuit = self._circuits.get(key)
            return circuit.reason if circuit and circuit.open_until is not None else ""

    def would_allow(self, key: str) -> bool:
        """Whether `allow` would let a call pass now. Takes no probe's place."""
        with self._lock:
            return self._passes(self._circuits.get(key))

    def allow(self, key: str, probe_s: float) -> bool:
        """Let a call pass, or not. A half-open circuit lets one probe pass until it is recorded or `probe_s` seconds are over."""
        with self._lock:
            circuit = self._circuits.get(key)
            passes = self._passes(circuit)
            if passes and circuit is not None and circuit.open_until is not None:
                circuit.probing_since = self._monotonic()
                circuit.probing_until = circuit.probing_since + probe_s
            return passes

    def leave(self, key: str, passed_at: float) -> None:
        """A call that was let pass has said nothing about health: if it was the probe, another may be."""
        with self._lock:
            circuit = self._circuits.get(key)
            if circuit is not None and passed_at >= circuit.probing_since:
                circuit.probing_until = 0.0

    def record(self, key: str, passed_at: float, *, healthy: bool, reason: str = "") -> None:
        """Note how a call ended."""
        with self._lock:
            circuit = self._circuits.setdefault(key, _Circuit())
            if healthy and circuit.open_until is not None:
                self._circuits[key] = _Circuit()
                _tell(key, 0)
                return
            if circuit.open_until is not None and passed_at < circuit.opened_at:
                return  # it tells nothing new
            circuit.results.append(healthy)
            circuit.failures_in_a_row = 0 if healthy else circuit.failures_in_a_row + 1
            if not healthy and (circuit.open_until is not None or self._is_sick(circuit)):
                self._open(circuit, reason)
                _tell(key, 1)

    def _passes(self, circuit: _Circuit | None) -> bool:
        if circuit is None or circuit.open_until is None:
            return True
        now = self._monotonic()
        return now >= circuit.open_until and now >= circuit.probing_until

    @staticmethod
    def _is_sick(circuit: _Circuit) -> bool:
        failed = circuit.results.count(False)
        full = len(circuit.results) == _WINDOW_CALLS
        return circuit.failures_in_a_row >= _FAILURES_IN_A_ROW or (full and failed > _FAILED_SHARE_MAX * _WINDOW_CALLS)

    def _open(self, circuit: _Circuit, reason: str) -> None:
        cooldown_s = min(_COOLDOWN_S * 2**circuit.times_opened, _COOLDOWN_S_MAX)
        circuit.times_opened += 1
        circuit.opened_at = self._monotonic()
        circuit.open_until = circuit.opened_at + cooldown_s
        circuit.probing_until = 0.0
        circuit.reason = reason


def _tell(key: str, is_open: int) -> None:
    provider, _, feature = key.partition(":")
    OPEN.set(is_open, provider=provider, feature=feature)
