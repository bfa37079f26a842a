"""Requests from any thread join the next batch.

No wait when idle: a picture that finds the model free starts at once. Under load batches fill by themselves while those before are
computed; only then, and for at most `wait_ms_max`, the model waits for as many pictures as last time, since those clients come again.
On a CPU it never waits: a picture costs there nearly as much in a batch as alone, and a lane that waits is a share of the machine lost.
With a GPU, decoding and letterboxing run in a few threads ahead of the model, suppression in one behind it: the model does nothing but
compute. On a CPU several batches are computed side by side, a lane a core: threads that share one batch wait for each other, lanes never
do. There is no core besides to be ahead on, so a lane does all of it: whatever is handed from thread to thread leaves its cache behind.
A lane may be a process of its own (`lane_processes`); its thread here then hands it batch after batch, and answers are passed on behind it.
"""

import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

from local_model.cores import cores, give_way
from local_model.counts import Counts

_BATCHES_AHEAD = 1
"""Batches beside those of the lanes whose raw output waits to be finished, at most: each is some megabytes."""

_GROWS_AFTER = 100
"""Batches that went well before one picture more is tried again after memory ran out."""

TOO_LATE = "The deadline passed while the picture was with the model."


class Overloaded(Exception):
    """The queue is full, or there is no memory. Nothing was answered; ask elsewhere, or later."""


class Closed(Overloaded):
    """The batcher has stopped. Nothing was done; what took its place may answer."""


class Expired(Exception):
    """The deadline passed before there was an answer."""


class Steps(Protocol):
    """A predictor in its steps, as `predictor.Predictor` has them. `Any` is what one step hands to the next."""

    def prepare(self, picture: Any) -> Any:
        """What comes before the network, of one picture; in any thread."""

    def forward(self, prepared: Sequence[Any]) -> Any:
        """The network over a batch; in as many threads as there are lanes."""

    def parted(self, raw: Any) -> Sequence[Any]:
        """The network's output, one entry a picture; in another thread."""

    def finish(self, found: Any, prepared: Any, machine_us: int) -> Any:
        """One picture's prediction; in that thread too."""

    def ran_out_of_memory(self, error: Exception) -> bool:
        """Whether `forward` failed for want of memory; then whatever can be freed is."""


@dataclass(slots=True, eq=False)
class _Item:
    picture: Any
    deadline: float
    came_at: float
    prepared: Any = None
    future: "Future[Any]" = field(default_factory=Future)


class Batcher:
    """A few threads that run the model over batches of whatever waits.

    Args:
        predictor: its steps.
        images_max: in one batch.
        lanes: threads that call `forward`, each with a batch of its own.
        wait_ms_max: for a batch to fill, and only under load.
        queue_max: pictures that may wait for the model; one more is refused at once.
        ahead: whether there are cores besides to decode on ahead of the lanes, and to suppress on behind them; else the lanes do that, too.
        elsewhere: whether lanes compute in other processes. Then answers are passed on behind them, while the next batch is on its way.
    """

    def __init__(
        self,
        predictor: Steps,
        *,
        images_max: int = 8,
        lanes: int = 1,
        wait_ms_max: float = 5.0,
        queue_max: int = 32,
        ahead: bool = True,
        elsewhere: bool = False,
    ) -> None:
        self.counts = Counts(images_max)
        self._predictor = predictor
        self._images_max = images_max
        self._fits = images_max
        self._good_batches = 0
        self._wait_s_max = wait_ms_max / 1000
        self._queue_max = queue_max
        self._waiting: deque[_Item] = deque()
        self._preparing = 0
        self._free_lanes = 0
        self._closing = False
        self._change = threading.Condition()
        self._ahead, self._elsewhere = ahead, elsewhere
        self._preparers = ThreadPoolExecutor(min(cores(), 8), thread_name_prefix="prepare")
        self._finisher = ThreadPoolExecutor(1, thread_name_prefix="finish")
        self._finisher.submit(int)  # its thread is made here, and not by a lane that gives way: it would do as its maker does
        self._unfinished = threading.Semaphore(lanes + _BATCHES_AHEAD)
        self._lanes = [threading.Thread(target=self._run, name=f"batches-{number}", daemon=True) for number in range(lanes)]
        for lane in self._lanes:
            lane.start()

    @classmethod
    def of(cls, predictor: Any, **settings: Any) -> "Batcher":
        """Of the sizes that suit the predictor's device, but for these settings."""
        sizes = {"images_max": predictor.images_max, "lanes": predictor.lanes, "queue_max": 4 * predictor.images_max}
        if not predictor.ahead:
            sizes["wait_ms_max"] = 0  # after one pause of 50 ms, lanes that waited took seconds to catch up at 75 % of what they bear
        return cls(predictor, **({"ahead": predictor.ahead, "elsewhere": predictor.elsewhere} | sizes | settings))

    @property
    def waiting(self) -> int:
        """Pictures that wait for the model now, those that are being decoded for it included."""
        return len(self._waiting) + self._preparing

    def refuse_if_full(self) -> None:
        """So that nobody need read a picture that has no place.

        Raises:
            Overloaded: as `predict`, at this moment.
        """
        if self._closing:
            raise Closed("The model is shutting down.")
        if self.waiting >= self._queue_max:
            with self._change:
                self.counts.overloaded += 1
            raise Overloaded(f"{self.waiting} pictures wait for the model already.")

    def predict(self, picture: Any, deadline: float | None = None) -> Any:
        """The prediction of one picture: what the predictor's `finish` gives.

        Args:
            picture: whatever the predictor's `prepare` takes. It is looked at only once its place in the queue is sure.
            deadline: in `time.monotonic()` seconds; None waits as long as it takes.

        Raises:
            Overloaded: at once, when the queue is full; `Closed` when the batcher is; or when there is no memory for one picture.
            Expired: the deadline passed.
            BadPicture: not a picture; nobody else's answer suffers.
        """
        future = self.submit(picture, deadline)
        try:
            return future.result(None if deadline is None else max(deadline - time.monotonic(), 0))
        except TimeoutError:
            raise Expired(TOO_LATE) from None

    def submit(self, picture: Any, deadline: float | None = None) -> "Future[Any]":
        """The promise of what `predict` returns or raises, but that nobody watches the deadline once the model has the picture.

        Raises:
            Overloaded: as `predict`.
        """
        item = _Item(picture, float("inf") if deadline is None else deadline, time.monotonic())
        with self._change:
            if self._closing:
                raise Closed("The model is shutting down.")
            if self.waiting >= self._queue_max:
                self.counts.overloaded += 1
                raise Overloaded(f"{self.waiting} pictures wait for the model already.")
            if self._ahead:
                self._preparing += 1
            else:
                self._waiting.append(item)
                self._change.notify_all()
        if self._ahead:
            self._preparers.submit(self._prepare_ahead, item)
        return item.future

    def close(self) -> None:
        """Take no more, answer what waits, and stop."""
        with self._change:
            self._closing = True
            self._change.notify_all()
        for lane in self._lanes:
            lane.join()
        self._preparers.shutdown()
        self._finisher.shutdown()

    def _prepare_ahead(self, item: _Item) -> None:
        self._prepare(item)
        with self._change:
            self._preparing -= 1
            if item.prepared is not None:
                self._waiting.append(item)
            self._change.notify_all()

    def _prepare(self, item: _Item) -> None:
        try:
            if item.deadline > time.monotonic():
                item.prepared = self._predictor.prepare(item.picture)
            else:
                self._expire(item)
        except MemoryError:
            self._fail(item, Overloaded("There is no memory for this picture now."))
        except Exception as error:  # noqa: BLE001 -- whatever a decoder raises is told to its own caller
            self._fail(item, error)
        finally:
            item.picture = None

    def _run(self) -> None:
        if not self._elsewhere:
            give_way()  # what answers holds Python's lock, and all wait for it if it waits for a core
        size = 1
        while batch := self._next_batch(expected=size):
            size = len(batch)
            if not self._ahead:
                for item in batch:
                    self._prepare(item)
            self._answer([item for item in batch if self._still_wanted(item)])

    def _still_wanted(self, item: _Item) -> bool:
        if item.prepared is None:
            return False
        if item.deadline > time.monotonic():
            return True
        self._expire(item)
        return False

    def _next_batch(self, expected: int) -> list[_Item]:
        """This lane's share of what waits, once there is enough of it; nothing when closed and empty."""
        with self._change:
            self._free_lanes += 1
            # Just after a batch its clients come again: wait for them. Nobody within that time means idle.
            if self._change.wait_for(self._wanted, self._wait_s_max):
                self._change.wait_for(lambda: len(self._waiting) >= min(expected, self._fits) or self._closing, self._wait_s_max)
            while not self._waiting and not self._ended():  # also where another lane was quicker
                self._change.wait_for(self._wanted)
            share = -(-len(self._waiting) // self._free_lanes)
            self._free_lanes -= 1
            return [self._waiting.popleft() for _ in range(min(share, self._fits))]

    def _wanted(self) -> bool:
        return bool(self._waiting) or self._ended()

    def _ended(self) -> bool:
        return self._closing and not self._preparing and not self._waiting

    def _answer(self, batch: list[_Item]) -> None:
        """Run the model; when it fails, run each half by itself: a bad picture fails alone, and too large a batch goes through in parts."""
        if not batch:
            return
        self._unfinished.acquire()
        started = time.monotonic()
        try:
            raw = self._predictor.forward([item.prepared for item in batch])
        except Exception as error:  # noqa: BLE001 -- whatever a network raises is told to its own caller
            self._unfinished.release()
            self._split(batch, error)
            return
        forward_s = time.monotonic() - started
        with self._change:
            self.counts.batch_ran([started - item.came_at for item in batch], forward_s)
            self._regain()
        machine_us = round(forward_s * 1e6 / (len(batch) * len(self._lanes)))
        if self._ahead or self._elsewhere:
            self._finisher.submit(self._finish, batch, raw, machine_us)
        else:
            self._finish(batch, raw, machine_us)

    def _split(self, batch: list[_Item], error: Exception) -> None:
        if no_memory := self._predictor.ran_out_of_memory(error):
            with self._change:
                self.counts.out_of_memory += 1
                self._fits, self._good_batches = max(len(batch) // 2, 1), 0
        if len(batch) == 1:
            self._fail(batch[0], Overloaded("There is no memory for one more picture now.") if no_memory else error)
            return
        middle = len(batch) // 2
        self._answer(batch[:middle])
        self._answer(batch[middle:])

    def _regain(self) -> None:
        """After memory ran out, batches grow again, slowly."""
        self._good_batches += 1
        if self._fits < self._images_max and self._good_batches % _GROWS_AFTER == 0:
            self._fits += 1

    def _finish(self, batch: list[_Item], raw: Any, machine_us: int) -> None:
        try:
            for item, found in zip(batch, self._predictor.parted(raw), strict=True):
                self._finish_one(item, found, machine_us)
        except Exception as error:  # noqa: BLE001 -- told to everyone who has no answer yet
            for item in batch:
                if not item.future.done():
                    self._fail(item, error)
        finally:
            self._unfinished.release()

    def _finish_one(self, item: _Item, found: Any, machine_us: int) -> None:
        try:
            item.future.set_result(self._predictor.finish(found, item.prepared, machine_us))
        except Exception as error:  # noqa: BLE001 -- told to its own caller
            self._fail(item, error)

    def _expire(self, item: _Item) -> None:
        with self._change:
            self.counts.expired += 1
        item.future.set_exception(Expired("The deadline passed while the picture waited for the model."))

    def _fail(self, item: _Item, error: Exception) -> None:
        with self._change:
            self.counts.failed += 1
        item.future.set_exception(error)
