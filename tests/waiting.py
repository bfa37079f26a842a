"""Wait for what another thread or process does."""

import time
from collections.abc import Callable
from typing import Any


def until(found: Callable[[], Any], within_s: float = 60) -> Any:
    """The first thing found that is true.

    Raises:
        AssertionError: there was none within `within_s` seconds.
    """
    give_up_at = time.monotonic() + within_s
    while not (it := found()):
        assert time.monotonic() < give_up_at, f"not within {within_s} s; the last thing found was {it!r}"
        time.sleep(0.01)
    return it
