"""Redis as a store: a convenience. Whatever is wrong with it, a request loses 50 ms to it, twice at most, and those behind it nothing."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from gateway.cache.circuit import Circuit
from gateway.cache.store import Entry
from gateway.monitoring.numbers import counter

T = TypeVar("T")

TIMEOUT_S = 0.05
"""To connect, and to read an answer. A Redis that is slower than that is none: the picture is asked for instead."""

_KERNEL_TIMEOUT = struct.pack("@ll", 0, int(TIMEOUT_S * 1_000_000))
"""A `struct timeval`: socket(7)."""

_MINE = (redis.RedisError, OSError)
_PAUSE_S = 0.25
"""Whose request has waited 50 ms for it waits no second time before it has an answer from elsewhere."""

ERRORS = counter("gateway_cache_errors_total", "Uses of Redis that failed or took longer than 50 ms.", "use")

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
        self._own = _OwnConnections(self._client.connection_pool)
        self._where = _shown(url)
        self._waited = threading.local()
        self.reading = Circuit("reading", self._probe_reading)
        self.writing = Circuit("writing", self._probe_writing)

    def get(self, key: str) -> bytes | None:
        """What is kept under a key: the look of every request, on a connection of its thread's own."""
        value: bytes | None = self._read(lambda: self._own.get(key), None, [key])
        return value

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """What is kept under each; a key of another type than ours is missing."""
        values: list[bytes | None] = self._read(lambda: self._client.mget(keys), [None] * len(keys), [])
        return values

    def put(self, entries: Sequence[Entry]) -> None:
        """Keep all of them, in one round trip."""
        began = time.monotonic()
        if self._rests(self.writing, began):
            return
        try:
            with self._client.pipeline(transaction=False) as pipeline:
                for entry in entries:
                    pipeline.set(entry.key, entry.value, ex=entry.ttl_s)
                pipeline.execute()
            self.writing.went_well()
        except redis.exceptions.ResponseError as error:  # full, read-only, forbidden
            self._note(self.writing, error, began)
        except _MINE as error:
            self._note(self.reading, error, began)

    def drop(self, key: str) -> None:
        """Forget one."""
        began = time.monotonic()
        if not self._rests(self.writing, began):
            try:
                self._client.delete(key)
            except _MINE as error:
                self._note(self.writing, error, began)

    def run(self, work: Callable[[], T]) -> T | None:
        """What another use of the same server brings; None where it fails, or is left alone."""
        brought: T | None = self._read(work, None, [])
        return brought

    @property
    def pool(self) -> redis.ConnectionPool:
        """Connections for other uses, as impatient as ours."""
        return self._client.connection_pool

    def problem(self) -> str | None:
        """Why nothing can be read or kept now, or None. Looks, so that a server that nobody has used lately is not taken to be well."""
        problem = self.reading.problem or self.writing.problem or self._problem_now()
        return None if problem is None else f"{self._where}: {problem}"

    def close(self) -> None:
        """Give back connections."""
        self.reading.close()
        self.writing.close()
        self._own.renew()
        self._client.close()
        self._client.connection_pool.disconnect()

    def _read(self, read: Callable[[], Any], missing: T, keys: Sequence[str]) -> T:
        began = time.monotonic()
        if self._rests(self.reading, began):
            return missing
        try:
            value: T = read()
        except redis.exceptions.ResponseError as error:
            if str(error).startswith("WRONGTYPE"):  # somebody else's: it is in our way
                for key in keys:
                    self.drop(key)
            else:
                self._note(self.reading, error, began)
        except _MINE as error:
            self._note(self.reading, error, began)
        else:
            self.reading.went_well()
            return value
        return missing

    def _rests(self, circuit: Circuit, now: float) -> bool:
        """Whether it is left alone: by all, or by this thread, whose request has waited for it already."""
        return self.reading.problem is not None or circuit.problem is not None or now < getattr(self._waited, "until", 0.0)

    def _note(self, circuit: Circuit, error: Exception, began: float) -> None:
        ERRORS.add(use=circuit.name)
        self._waited.until = time.monotonic() + _PAUSE_S
        if circuit.failed(error, began):  # connections from before an outage would fail one by one after it
            self._own.renew()
            with contextlib.suppress(*_MINE):
                self._client.connection_pool.disconnect(inuse_connections=False)

    def _problem_now(self) -> str | None:
        try:
            self._probe_writing()
            self._probe_reading()
        except _MINE as error:
            return f"{type(error).__name__}: {error}"
        return None

    def _probe_reading(self) -> None:
        self._client.get(_PROBE_KEY)

    def _probe_writing(self) -> None:
        self._client.set(_PROBE_KEY, b"1", ex=60)


class _OwnConnections:
    """One connection a thread, for one GET after another: without the pool's lock, and without its look at the socket before each use."""

    _IDLE_S_MAX = 10.0
    """A server, or what stands before it, may have closed one that was not used for long."""

    def __init__(self, pool: redis.ConnectionPool) -> None:
        self._pool = pool
        self._mine = threading.local()
        self._outages = 0

    def get(self, key: str) -> bytes | None:
        """One round trip.

        Raises:
            redis.RedisError, OSError: and the connection is closed.
        """
        mine, now, outages = self._mine, time.monotonic(), self._outages
        connection = getattr(mine, "connection", None)
        if connection is None or mine.outages != outages or now - mine.used > self._IDLE_S_MAX:
            if connection is not None:
                connection.disconnect()
            # Not by the pool: it would count them, and never take one that is gone off its count.
            connection = self._pool.connection_class(**self._pool.connection_kwargs)
            connection.connect()
            _wait_in_the_kernel(connection)
        mine.connection = None  # kept only if all goes well
        name = key.encode()
        connection.send_packed_command([b"*2\r\n$3\r\nGET\r\n$%d\r\n%b\r\n" % (len(name), name)], check_health=False)
        value: bytes | None = connection.read_response()
        mine.connection, mine.used, mine.outages = connection, now, outages
        return value

    def renew(self) -> None:
        """There was an outage: nobody goes on with what was connected before it."""
        self._outages += 1


def _wait_in_the_kernel(connection: Any) -> None:
    """A socket with a timeout of Python's is polled before each read and write; one with the kernel's own is not, and waits no longer."""
    opened = connection._get_socket()  # noqa: SLF001 -- redis-py has no other way to it
    if type(opened) is socket.socket:  # not TLS, which reads as it likes
        opened.settimeout(None)
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            opened.setsockopt(socket.SOL_SOCKET, option, _KERNEL_TIMEOUT)


def _shown(url: str) -> str:
    """An address without its user and password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"
