"""The models that are served, by name and version; and taking a new one in without losing a request.

A reload reads the same files again, loads and warms the new model beside the old one, and only then lets it take the old one's place;
what the old one had taken it still answers. A model that can't be loaded leaves the old one where it is.
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


class NoSuchModel(Exception):
    """Another name or version than those that are served."""


class Loading(Exception):
    """The model is not there yet, or can't be loaded."""


@dataclass(frozen=True, slots=True)
class Served:
    """One model and its batcher."""

    predictor: Any
    batcher: Batcher


class Models:
    """Several models in one process, for a comparison; mostly it is one. Shared by threads.

    Args:
        loads: makes each predictor, the default one first; run once now, in a thread, and again at each reload.
        settings: of `batching.Batcher`.
    """

    def __init__(self, loads: Sequence[Load], **settings: Any) -> None:
        self._loads = tuple(loads)
        self._settings = settings
        self._loaded: Future[tuple[Served, ...]] = Future()
        self._reloading = threading.Lock()
        self.reloads = self.reloads_failed = 0
        threading.Thread(target=self._load_first, name="load-model", daemon=True).start()

    def all(self) -> tuple[Served, ...]:
        """Every model, the default one first.

        Raises:
            Loading: they are not there yet, or one can't be loaded.
        """
        if not self._loaded.done():
            raise Loading("The model is still loading.")
        if (error := self._loaded.exception()) is not None:
            raise Loading(f"The model can't be loaded: {error}")
        return self._loaded.result()

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

    def wait_until_loaded(self) -> None:
        """Wait for the first load to end, well or not."""
        self._loaded.exception()

    def reload(self) -> tuple[Served, ...]:
        """Read the files again and let what they say now take over. Returns once it has.

        Raises:
            Loading: it can't be loaded; the models before go on. Or a reload runs already.
        """
        if not self._reloading.acquire(blocking=False):
            raise Loading("A reload runs already.")
        try:
            fresh = self._load()
        except Exception as error:
            self.reloads_failed += 1
            log.exception("model.not_reloaded")
            raise Loading(f"The model can't be loaded; the one before goes on: {error}") from error
        else:
            before, self._loaded = self._loaded, _done(fresh)
            self.reloads += 1
            log.info("model.reloaded", extra={"models": [one.predictor.model for one in fresh]})
        finally:
            self._reloading.release()
        if before.done() and before.exception() is None:
            _close(before.result())  # takes a while; the next reload need not wait for it
        return fresh

    def close(self) -> None:
        """Answer what waits, and stop."""
        if self._loaded.done() and self._loaded.exception() is None:
            _close(self._loaded.result())

    def _load_first(self) -> None:
        try:
            self._loaded.set_result(self._load())
            log.info("model.ready", extra={"models": [one.predictor.model for one in self.all()]})
        except Exception as error:
            log.exception("model.not_loaded")
            self._loaded.set_exception(error)

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


def _done(served: tuple[Served, ...]) -> "Future[tuple[Served, ...]]":
    future: Future[tuple[Served, ...]] = Future()
    future.set_result(served)
    return future


def _close(served: Sequence[Served]) -> None:
    for one in served:
        one.batcher.close()
        one.predictor.close()
