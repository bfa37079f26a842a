"""Something that is made on first use and then shared by all threads: an SDK's client, after fork."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Once(Generic[T]):
    """Call it to have the thing; the first call makes it. What fails to be made is tried again by the next call.

    Attributes:
        made: the thing, or None before the first call.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self.made: T | None = None
        self._make = make
        self._making = threading.Lock()

    def __call__(self) -> T:
        """The thing. Raises what making it raises."""
        with self._making:
            if self.made is None:
                self.made = self._make()
            return self.made
