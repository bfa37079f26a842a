"""Redis as a store: a convenience. Whatever is wrong with it, a request loses 50 ms to it at most, and those behind it nothing."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from gateway.cache.circuit import Circuit
from gateway.cache.store import Entry

T = TypeVar("T")

TIMEOUT_S = 0.05
"""To connect, and to read an answer. A Redis that is slower than that is none: the picture is asked for instead."""

_MINE = (redis.RedisError, OSError)
_ONE_KEYS_FAULT = (redis.exceptions.ResponseError,)
_PROBE_KEY = "vg:probe"


def client_of(url: str, connections_max: int, **more: Any) -> redis.Redis:
    """A client that never waits longer than 50 ms, nor tries twice. Made after fork, shared by threads. Connects to nothing yet."""
    pool = redis.ConnectionPool.from_url(
        url,
        max_connections=connections_max,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
        protocol=2,  # no greeting to wait for
        driver_info=None,
        **more,
    )
    return redis.Redis(connection_pool=pool)


class RedisStore:
    """Redis or Valkey. Reading and writing have a circuit each: one that is full or read-only can still be read."""

    def __init__(self, url: str, connections_max: int) -> None:
        """Use the server at this address with so many connections at most: one a thread that uses it."""
        self._client = client_of(url, connections_max)
        self._where = _shown(url)
        self.reading = Circuit("reading", self._probe_reading)
        self.writing = Circuit("writing", self._probe_writing)

    def get(self, key: str) -> bytes | None:
        """What is kept under a key."""
        value: bytes | None = self._read(lambda: self._client.get(key), None, [key])
        return value

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """What is kept under each; a key of another type than ours is missing."""
        values: list[bytes | None] = self._read(lambda: self._client.mget(keys), [None] * len(keys), [])
        return values

    def put(self, entries: Sequence[Entry]) -> None:
        """Keep all of them, in one round trip."""
        if self.reading.problem is not None or self.writing.problem is not None:
            return
        try:
            with self._client.pipeline(transaction=False) as pipeline:
                for entry in entries:
                    pipeline.set(entry.key, entry.value, ex=entry.ttl_s)
                pipeline.execute()
        except redis.exceptions.ResponseError as error:  # full, read-only, forbidden
            self._note(self.writing, error)
        except _MINE as error:
            self._note(self.reading, error)

    def drop(self, key: str) -> None:
        """Forget one."""
        if self.reading.problem is None and self.writing.problem is None:
            try:
                self._client.delete(key)
            except _MINE as error:
                self._note(self.writing, error)

    def problem(self) -> str | None:
        """Why nothing can be read or kept now, or None."""
        problem = self.reading.problem or self.writing.problem
        return None if problem is None else f"{self._where}: {problem}"

    def close(self) -> None:
        """Give back connections."""
        self.reading.close()
        self.writing.close()
        self._client.close()
        self._client.connection_pool.disconnect()

    def _read(self, read: Callable[[], Any], missing: T, keys: Sequence[str]) -> T:
        if self.reading.problem is not None:
            return missing
        try:
            value: T = read()
        except redis.exceptions.AuthenticationError as error:
            self._note(self.reading, error)
        except _ONE_KEYS_FAULT as error:
            if str(error).startswith("WRONGTYPE"):  # somebody else's: it is in our way
                for key in keys:
                    self.drop(key)
            else:
                self._note(self.reading, error)
        except _MINE as error:
            self._note(self.reading, error)
        else:
            return value
        return missing

    def _note(self, circuit: Circuit, error: Exception) -> None:
        """Connections from before an outage would fail one by one after it."""
        circuit.failed(error)
        with contextlib.suppress(*_MINE):
            self._client.connection_pool.disconnect(inuse_connections=False)

    def _probe_reading(self) -> None:
        self._client.get(_PROBE_KEY)

    def _probe_writing(self) -> None:
        self._client.set(_PROBE_KEY, b"1", ex=60)


def _shown(url: str) -> str:
    """An address without its user and password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"
