"""Counts are taken in passing and added up a moment later.

Whoever counts only leaves the amount here: no lock, no file. A thread adds up what has been left, and writes one sum for each number
instead of one for each request. A scrape calls `add_up` first. A killed process loses the counts of its last `EVERY_S` seconds; one that
ends does not.
"""

import atexit
import logging
import os
import threading
import time
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Protocol

EVERY_S = 0.05

log = logging.getLogger(__name__)


class Tally(Protocol):
    """Where amounts of one number, with one set of labels, go in the end."""

    def take(self, amounts: Sequence[float]) -> None:
        """Count all of them."""


_left: deque[tuple[Tally, float]] = deque()
_some = threading.Event()
_adding = threading.Lock()
_adder: threading.Thread | None = None


def count(tally: Tally, amount: float) -> None:
    """Leave an amount for a tally. From any thread."""
    _left.append((tally, amount))
    if not _some.is_set():
        _wake()


def add_up() -> None:
    """Have every tally take what has been left for it."""
    with _adding:
        amounts: defaultdict[Tally, list[float]] = defaultdict(list)
        for _ in range(len(_left)):
            tally, amount = _left.popleft()
            amounts[tally].append(amount)
        for tally, left in amounts.items():
            tally.take(left)


def _wake() -> None:
    global _adder  # noqa: PLW0603 -- one a process
    _some.set()
    if _adder is not None and _adder.is_alive():  # without the lock: who counts must not wait for who adds up
        return
    with _adding:
        if _adder is None or not _adder.is_alive():
            _adder = threading.Thread(target=_run, name="counting", daemon=True)
            _adder.start()


def _run() -> None:
    while True:
        _some.wait()
        time.sleep(EVERY_S)
        _some.clear()
        try:
            add_up()
        except Exception:  # a full disk, say; what it was to take is lost
            log.exception("metrics.not_added_up")


def _start_anew() -> None:
    """In a child: what waits is the parent's to add, and the thread that held a lock is not here."""
    global _adding  # noqa: PLW0603
    _left.clear()
    _some.clear()
    _adding = threading.Lock()


os.register_at_fork(after_in_child=_start_anew)
atexit.register(add_up)
