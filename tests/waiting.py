"""Wait for what another thread or process does."""

import time
from collections.abc import Callable


def until(true: Callable[[], object], within_s: float = 60) -> None:
    """Return as soon as `true()` is; AssertionError after `within_s`."""
    give_up_at = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < give_up_at, f"not within {within_s} s"
        time.sleep(0.005)
