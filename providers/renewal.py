"""Credentials that were changed under a running process: read again once a cloud refuses those that are in use."""

import threading
import time
from collections.abc import Callable

_AT_MOST_EVERY_S = 5.0
"""Reading them makes a new client, which takes a fifth of a second: not for every call that is refused."""


class Renewal:
    """Has a client made anew, with whatever the files and the environment say now.

    SDKs read a key from a file once. An operator who rotates it must not have to start the gateway again.
    """

    def __init__(self, forget: Callable[[], None], monotonic: Callable[[], float] = time.monotonic) -> None:
        """Call `forget` to let go of the client in use."""
        self._forget = forget
        self._monotonic = monotonic
        self._next = 0.0
        self._lock = threading.Lock()

    def refused(self) -> None:
        """The credentials in use were not accepted, or there are none."""
        with self._lock:
            now = self._monotonic()
            if now < self._next:
                return
            self._next = now + _AT_MOST_EVERY_S
        self._forget()
