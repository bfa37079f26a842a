"""Requests from any thread join the next batch.

No wait when idle: a picture that finds the model free starts at once. Under load batches fill by themselves while the one before is
computed; only then, and for at most `wait_ms_max`, the model waits for as many pictures as last time, since those clients come again.
Letterboxing runs in the callers' threads and suppression in one thread behind the model, so that the model does nothing but compute.
"""

import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

from numpy.typing import NDArray

from local_model.preprocess import Pixels, Square


class Overloaded(Exception):
    """The queue is full, or the batcher is closing. Nothing was done."""


class Expired(Exception):
    """The deadline passed before there was an answer."""


class Steps(Protocol):
    """A predictor in its three steps, as `predictor.Predictor` has them. `Any` is what one step hands to the next."""

    def prepare(self, picture: NDArray[Any]) -> Square: ...  # noqa: D102
    def forward(self, squares: Sequence[Pixels]) -> list[Any]: ...  # noqa: D102
    def finish(self, found: Any, square: Square, machine_us: int) -> Any: ...  # noqa: D102


@dataclass(slots=True)
class Counts:
    """What has happened since the start. Written by the model's thread and, under the lock, by callers; read by anyone."""

    images: int = 0
    batches: int = 0
    failed: int = 0
    expired: int = 0
    overloaded: int = 0
    queue_s: float = 0.0
    forward_s: float = 0.0


@dataclass(slots=True, eq=False)
class _Item:
    square: Square
    deadline: float
    queued_at: float
    future: "Future[Any]" = field(default_factory=Future)


class Batcher:
    """One thread that runs the model over batches of whatever waits.

    Args:
        predictor: its `forward` is called by one thread only.
        images_max: in one batch.
        wait_ms_max: for a batch to fill, and only under load.
        queue_max: pictures that may wait for the model; one more is refused at once.
    """

    def __init__(self, predictor: Steps, *, images_max: int = 8, wait_ms_max: float = 5.0, queue_max: int = 32) -> None:
        self.counts = Counts()
        self._predictor = predictor
        self._images_max = images_max
        self._wait_s_max = wait_ms_max / 1000
        self._queue_max = queue_max
        self._waiting: deque[_Item] = deque()
        self._preparing = 0
        self._closing = False
        self._change = threading.Condition()
        self._finisher = ThreadPoolExecutor(1, thread_name_prefix="finish")
        self._thread = threading.Thread(target=self._run, name="batches", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Pictures that wait for the model now."""
        return len(self._waiting) + self._preparing

    def predict(self, picture: NDArray[Any], deadline: float | None = None) -> Any:
        """The prediction of one picture: what the predictor's `finish` gives.

        Args:
            picture: (height, width, 3) uint8, upright RGB.
            deadline: in `time.monotonic()` seconds; None waits as long as it takes.

        Raises:
            Overloaded: at once, when the queue is full or the batcher is closed.
            Expired: the deadline passed.
            BadPicture: not a picture; nobody else's answer suffers.
        """
        item = self._queued(picture, float("inf") if deadline is None else deadline)
        try:
            return item.future.result(None if deadline is None else max(deadline - time.monotonic(), 0))
        except TimeoutError:
            raise Expired("The deadline passed while the picture was with the model.") from None

    def close(self) -> None:
        """Take no more, answer what waits, and stop."""
        with self._change:
            self._closing = True
            self._change.notify_all()
        self._thread.join()
        self._finisher.shutdown()

    def _queued(self, picture: NDArray[Any], deadline: float) -> _Item:
        """Letterbox a picture and put it in the queue. Its place is taken before, so that a refusal costs nothing."""
        with self._change:
            if self._closing or self.waiting >= self._queue_max:
                self.counts.overloaded += 1
                raise Overloaded("The model is shutting down." if self._closing else f"{self.waiting} pictures wait for the model already.")
            self._preparing += 1
        item = None
        try:
            item = _Item(self._predictor.prepare(picture), deadline, time.monotonic())
            return item
        finally:
            with self._change:
                self._preparing -= 1
                if item is not None:
                    self._waiting.append(item)
                self._change.notify_all()

    def _run(self) -> None:
        size = 1
        while batch := self._next_batch(expected=size):
            size = len(batch)
            now = time.monotonic()
            alive = [item for item in batch if item.deadline > now]
            for item in batch:
                if item.deadline <= now:
                    self.counts.expired += 1
                    item.future.set_exception(Expired("The deadline passed while the picture waited for the model."))
            self.counts.queue_s += sum(now - item.queued_at for item in alive)
            self._answer(alive)

    def _next_batch(self, expected: int) -> list[_Item]:
        """What waits, once there is enough of it; nothing when closed and empty."""
        with self._change:
            # Just after a batch its clients come again: wait for them. Nobody within that time means idle.
            if self._change.wait_for(self._wanted, self._wait_s_max):
                self._change.wait_for(lambda: len(self._waiting) >= min(expected, self._images_max) or self._closing, self._wait_s_max)
            else:
                self._change.wait_for(self._wanted)
            return [self._waiting.popleft() for _ in range(min(len(self._waiting), self._images_max))]

    def _wanted(self) -> bool:
        return bool(self._waiting) or (self._closing and not self._preparing)

    def _answer(self, batch: list[_Item]) -> None:
        """Run the model; when it fails, run each half by itself: a bad picture fails alone, and too large a batch goes through in parts."""
        if not batch:
            return
        started = time.monotonic()
        try:
            answers = list(zip(batch, self._predictor.forward([item.square.pixels for item in batch]), strict=True))
        except Exception as error:  # noqa: BLE001 -- whatever a network raises is told to its own caller
            if len(batch) == 1:
                self.counts.failed += 1
                batch[0].future.set_exception(error)
                return
            middle = len(batch) // 2
            self._answer(batch[:middle])
            self._answer(batch[middle:])
            return
        forward_s = time.monotonic() - started
        machine_us = round(forward_s * 1e6 / len(batch))
        self.counts.forward_s += forward_s
        self.counts.batches += 1
        self.counts.images += len(batch)
        for item, found in answers:
            self._finisher.submit(self._finish, item, found, machine_us)

    def _finish(self, item: _Item, found: Any, machine_us: int) -> None:
        try:
            item.future.set_result(self._predictor.finish(found, item.square, machine_us))
        except Exception as error:  # noqa: BLE001 -- told to its own caller
            item.future.set_exception(error)
