"""A predictor whose lanes are processes: threads of one process wait for each other's Python, processes never do.

The process that answers requests holds no torch and no picture's computation; each lane of its batcher hands encoded pictures to a process
that is free, and waits for their answers. A process that dies is replaced, and what it had is computed by another.
"""

import logging
import pickle
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from local_model.messages import Facts, Failed, Gone, receive, send
from local_model.prediction import Prediction

log = logging.getLogger(__name__)

_TRIES = 3
"""Two processes may be killed in one moment, for want of memory, say. A picture that has ended three is to blame."""

_TRIES_AGAIN_S = 5.0
_SOCKET_BYTES = 1 << 20
"""A batch of encoded pictures on its way, nearly: one side need not wait for the other with each."""


class NotLoaded(Exception):
    """A lane could not load the model, or loaded another one than its neighbours."""


class LaneDied(Exception):
    """The process that computed these pictures ended before it answered."""


class _Lane:
    """One process, and the socket to it."""

    def __init__(self, weights: Path | None) -> None:
        self._peer, theirs = socket.socketpair()
        with theirs:
            for end in (self._peer, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BYTES)
            command = [sys.executable, "-m", "local_model.lane", str(theirs.fileno()), *([str(weights)] if weights else [])]
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()])  # noqa: S603 -- ourselves

    def facts(self) -> Facts:
        """Waits until it is ready.

        Raises:
            NotLoaded: it will not be.
        """
        try:
            told = receive(self._peer)
        except Gone:
            raise NotLoaded("A process of the model ended while it loaded.") from None
        if isinstance(told, Failed):
            raise NotLoaded(told.reason)
        assert isinstance(told, Facts), "a lane says facts first"
        return told

    @property
    def ended(self) -> bool:
        """Whether it has, for whatever reason."""
        return self._process.poll() is not None

    def answers(self, pictures: Sequence[Any]) -> Any:
        """Of one batch, as `lane.answered` gives them.

        Raises:
            Gone: it ended.
        """
        send(self._peer, pictures)
        return receive(self._peer)

    def close(self) -> None:
        """End it as it is: it keeps nothing, and to take torch down in good order costs it a second."""
        self._peer.close()
        self._process.kill()
        self._process.wait()


class LaneProcesses:
    """The steps that a batcher takes, by so many processes; as `predictor.Predictor` otherwise.

    Args:
        weights: as for `Predictor.load`.
        lanes: processes.

    Raises:
        NotLoaded: a process can't load them.
    """

    ahead, elsewhere = False, True

    def __init__(self, weights: Path | None, lanes: int) -> None:
        self.lanes = lanes
        self._weights = weights
        self._closing = threading.Event()
        self._free: queue.LifoQueue[_Lane] = queue.LifoQueue()
        started = [_Lane(weights) for _ in range(lanes)]  # all load at once
        try:
            self._facts = _agreed([lane.facts() for lane in started])
        except BaseException:
            for lane in started:
                lane.close()
            raise
        for lane in started:
            self._free.put(lane)
        self.name, self.version, self.model, self.images_max = self._facts

    def warm(self) -> None:
        """Each was warm before it told what it is."""

    def prepare(self, picture: Any) -> Any:
        """As it is: the process decodes it."""
        return picture

    def forward(self, pictures: Sequence[Any]) -> list[Any]:
        """An answer a picture, or an exception, by a process that is free.

        Raises:
            MemoryError: it had none for so many.
            LaneDied: it ended before it answered; a single picture was then given to others, and they ended, too.
            RuntimeError: the network failed over them.
        """
        told = [picture if isinstance(picture, np.ndarray) else pickle.PickleBuffer(picture) for picture in pictures]
        tries = _TRIES if len(told) == 1 else 1  # halves of a batch go to others; what ends every process is found so, and fails alone
        for _ in range(tries):
            with suppress(Gone):
                answers = self._answers(told)
                break
        else:
            raise LaneDied(f"Each process of the model that was given {'this picture' if len(told) == 1 else 'these pictures'} ended.")
        if not isinstance(answers, Failed):
            return answers  # type: ignore[no-any-return]
        raise MemoryError(answers.reason) if answers.no_memory else RuntimeError(answers.reason)

    def parted(self, raw: list[Any]) -> list[Any]:
        """It came so."""
        return raw

    def finish(self, found: Any, _picture: Any, machine_us: int) -> Prediction:
        """One picture's prediction, or its exception."""
        if isinstance(found, Exception):
            raise found
        assert isinstance(found, Prediction), "a lane answers with one or the other"
        return replace(found, machine_us=machine_us)

    def ran_out_of_memory(self, error: Exception) -> bool:
        """Whether it did; the process has given back what it could."""
        return isinstance(error, MemoryError)

    def gpu_memory_bytes(self) -> int:
        """None: these are for CPUs."""
        return 0

    def close(self) -> None:
        """End the processes. To be called when nothing is computed any more."""
        self._closing.set()
        with suppress(queue.Empty):
            while True:
                self._free.get_nowait().close()

    def _answers(self, told: Sequence[Any]) -> Any:
        while (lane := self._free.get()).ended:  # killed while it rested: no fault of these pictures
            self._bury(lane)
        try:
            answers = lane.answers(told)
        except Gone:
            self._bury(lane)
            raise
        self._free.put(lane)
        return answers

    def _bury(self, lane: _Lane) -> None:
        log.warning("model.lane_died", extra={"model": self.model})
        threading.Thread(target=self._replace, args=(lane,), name="replace-lane", daemon=True).start()

    def _replace(self, lane: _Lane) -> None:
        """By one of the same weights. While the files are others than those that serve, there is none, and a reload is due."""
        lane.close()
        while not self._closing.is_set():
            fresh = _Lane(self._weights)
            try:
                _agreed([self._facts, fresh.facts()])
            except NotLoaded as error:
                fresh.close()
                log.warning("model.lane_not_replaced", extra={"model": self.model, "reason": str(error)})
                self._closing.wait(_TRIES_AGAIN_S)
            else:
                self._free.put(fresh)
                break
        if self._closing.is_set():
            self.close()


def _agreed(facts: Sequence[Facts]) -> Facts:
    first, *others = facts
    if any(other != first for other in others):
        raise NotLoaded("The weights changed while they were read.")
    return first
