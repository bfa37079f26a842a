"""How many pixels are decoded at a time in this process, so that many large uploads take their turns instead of all the memory."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class PixelGate:
    """Lets pictures in while they have at most `pixels_max` together; a larger one goes in alone. First come, first served."""

    def __init__(self, pixels_max: int) -> None:
        self._pixels_max = pixels_max
        self._held = 0
        self._turn = threading.Lock()  # held while waiting for room: small pictures can't keep a large one out for ever
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, pixels: int) -> Iterator[None]:
        """Wait for room, and keep it for the block."""
        pixels = min(pixels, self._pixels_max)
        with self._turn, self._changed:
            self._changed.wait_for(lambda: self._held + pixels <= self._pixels_max)
            self._held += pixels
        try:
            yield
        finally:
            with self._changed:
                self._held -= pixels
                self._changed.notify_all()
