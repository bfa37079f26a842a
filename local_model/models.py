"""The models that are served, by name and version; and taking a new one in without losing a request.

A reload reads the same files again, loads and warms the new model beside the old one, and only then lets it take the old one's place;
what the old one had taken it still answers. A model that can't be loaded leaves the old one where it is. Where there is none yet, loading
is tried again by itself, since what was missing, a file or memory, may come.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from local_model.batching import TOO_LATE, Batcher, Closed, Expired

log = logging.getLogger(__name__)

Load = Callable[[], Any]
"""Makes a predictor."""

_AGAIN_AFTER_S, _AGAIN_AFTER_S_MAX = 5.0, 60.0
"""The pause after the first load that failed, and the longest; it doubles, since each takes seconds of a core."""


class NoSuchModel(Exception):
    """Another name or version than those that are served."""


class Loading(Exception):
    """The model is not there yet."""


class LoadingFailed(Loading):
    """It can't be loaded."""


@dataclass(frozen=True, slots=True)
class Served:
    """One model and its batcher."""

    predictor: Any
    batcher: Batcher


class Models:
    """Several models in one process, for a comparison; mostly it is one. Shared by threads.

    Args:
        loads: makes each predictor, the default one first; run now, in a thread, until it goes well, and again at each reload.
        settings: of `batching.Batcher`.
    """

    def __init__(self, loads: Sequence[Load], **settings: Any) -> None:
        self._loads = tuple(loads)
        self._settings = settings
        self._loaded: tuple[Served, ...] | Exception | None = None
        self._tried = threading.Event()
        self._closing = threading.Event()
        self._reloading = threading.Lock()
        self.reloads = self.reloads_failed = 0
        threading.Thread(target=self._load_first, name="load-model", daemon=True).start()

    def all(self) -> tuple[Served, ...]:
        """Every model, the default one first.

        Raises:
            Loading: they are not there yet; `LoadingFailed` where one can't be loaded.
        """
        loaded = self._loaded
        if loaded is None:
            raise Loading("The model is still loading.")
        if isinstance(loaded, Exception):
            raise LoadingFailed(f"The model can't be loaded: {loaded}") from loaded
        return loaded

    def find(self, name: str | None = None, version: str | None = None) -> Served:
        """The first of that name and version; the first of all where neither is told.

        Raises:
            NoSuchModel: there is none.
            Loading: as for `all`.
        """
        served = self.all()
        for one in served:
            if name in {None, one.predictor.name} and version in {None, one.predictor.version}:
                return one
        here = ", ".join(one.predictor.model for one in served)
        raise NoSuchModel(f"There is no model {name!r}{f' version {version!r}' if version else ''} here; there is {here}.")

    async def predicted(self, name: str, version: str | None, picture: Any, deadline: float | None) -> tuple[Served, Any]:
        """A prediction, and who made it. One that a reload overtakes goes to the new model.

        Raises:
            NoSuchModel, Loading: as for `find`.
            Exception: as `Batcher.predict`.
        """
        served = self.find(name, version)
        try:
            promised = served.batcher.submit(picture, deadline)
        except Closed:
            served, older = self.find(name, version), served
            if served is older:
                raise
            promised = served.batcher.submit(picture, deadline)
        return served, await _kept(promised, deadline)

    def wait_until_loaded(self, timeout_s: float | None = None) -> None:
        """Wait for the first load to end, well or not."""
        self._tried.wait(timeout_s)

    def reload(self) -> tuple[Served, ...]:
        """Read the files again and let what they say now take over. Returns once it has.

        Raises:
            Loading: it can't be loaded (`LoadingFailed`), and the models before go on. Or it is being loaded already.
        """
        if not self._reloading.acquire(blocking=False):
            raise Loading("It is being loaded already.")
        try:
            fresh = self._load()
        except Exception as error:
            self.reloads_failed += 1
            log.exception("model.not_reloaded")
            if isinstance(self._loaded, tuple):
                raise LoadingFailed(f"The model can't be loaded; the one before goes on: {error}") from error
            self._loaded = error
            raise LoadingFailed(f"The model can't be loaded: {error}") from error
        else:
            before, self._loaded = self._loaded, fresh
            self.reloads += 1
            log.info("model.reloaded", extra={"models": [one.predictor.model for one in fresh]})
        finally:
            self._reloading.release()
        if isinstance(before, tuple):
            _close(before)  # takes a while; the next reload need not wait for it
        return fresh

    def close(self) -> None:
        """Answer what waits, and stop."""
        self._closing.set()
        if isinstance(self._loaded, tuple):
            _close(self._loaded)

    def _load_first(self) -> None:
        """Until it goes well, here or by a reload."""
        pause_s = _AGAIN_AFTER_S
        while not self._loaded_now(pause_s) and not self._closing.wait(pause_s):
            pause_s = min(2 * pause_s, _AGAIN_AFTER_S_MAX)
        if self._closing.is_set():
            self.close()  # of what was loaded meanwhile

    def _loaded_now(self, again_in_s: float) -> bool:
        with self._reloading:
            if isinstance(self._loaded, tuple):
                return True
            try:
                self._loaded = self._load()
                log.info("model.ready", extra={"models": [one.predictor.model for one in self._loaded]})
            except Exception as error:
                log.exception("model.not_loaded", extra={"again_in_s": again_in_s})
                self._loaded = error
            self._tried.set()
            return isinstance(self._loaded, tuple)

    def _load(self) -> tuple[Served, ...]:
        made: list[Served] = []
        try:
            for load in self._loads:
                predictor = load()
                predictor.warm()
                made.append(Served(predictor, Batcher.of(predictor, **self._settings)))
        except BaseException:
            _close(made)
            raise
        return tuple(made)


async def _kept(promised: "Future[Any]", deadline: float | None) -> Any:
    """What the model gives, if it does in time. It is not told that nobody waits any more: it may be at work on it."""
    try:
        async with asyncio.timeout(None if deadline is None else max(deadline - time.monotonic(), 0)):
            return await asyncio.shield(asyncio.wrap_future(promised))
    except TimeoutError:
        raise Expired(TOO_LATE) from None


def _close(served: Sequence[Served]) -> None:
    for one in served:
        one.batcher.close()
        one.predictor.close()
