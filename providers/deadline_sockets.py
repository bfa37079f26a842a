"""HTTP connections that keep one deadline over sending and reading together, over a Unix socket, TCP or TLS.

Timeouts of sockets, and so of urllib3, start anew with every byte that comes: a server that dribbles could hold a call for hours. These
sockets ask before each step how much is left of the calling thread's time. (Resolving a host's name is not bounded by it.)
"""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

IDLE_S_MAX = 30.0
"""A connection that rested longer is opened anew: the server may be about to close it, and a call is never sent twice."""

_call = threading.local()


@contextmanager
def until(deadline: float) -> Iterator[None]:
    """All that this thread's deadline sockets do in here ends at `deadline`, in `time.monotonic()` seconds, with a TimeoutError."""
    _call.deadline = deadline
    try:
        yield
    finally:
        del _call.deadline


def pool_for(url: str, connections: int) -> urllib3.HTTPConnectionPool:
    """A pool of keep-alive connections to `unix:PATH`, `http://HOST:PORT` or `https://HOST:PORT`, shared by threads.

    Raises:
        ValueError: another kind of address.
    """
    parts = urlsplit(url)
    if parts.scheme == "unix" and parts.path and not parts.netloc:
        return _UnixPool(unquote(parts.path), connections)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{url!r} is none of unix:PATH, http://HOST:PORT, https://HOST:PORT.")
    if parts.scheme == "http":
        plain = urllib3.HTTPConnectionPool(parts.hostname, parts.port, maxsize=connections)
        plain.ConnectionCls = _TcpConnection
        return plain
    context = ssl.create_default_context()
    context.sslsocket_class = _TlsSocket
    secure = urllib3.HTTPSConnectionPool(parts.hostname, parts.port, maxsize=connections, ssl_context=context)
    secure.ConnectionCls = _TlsConnection
    return secure


def _give_the_time_left(sock: socket.socket) -> None:
    deadline = getattr(_call, "deadline", None)
    if deadline is not None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("The call's time is up.")
        sock.settimeout(left)


class _PlainSocket(socket.socket):
    def sendall(self, *args: Any) -> None:  # its timeout is for all of the data (https://docs.python.org/3/library/socket.html)
        _give_the_time_left(self)
        super().sendall(*args)

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        _give_the_time_left(self)
        return super().recv_into(*args, **kwargs)


class _TlsSocket(ssl.SSLSocket):
    def send(self, *args: Any) -> int:  # its sendall is made of these
        _give_the_time_left(self)
        return super().send(*args)

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        _give_the_time_left(self)
        return super().recv_into(*args, **kwargs)


class _Rests(HTTPConnection):
    """A connection that knows when it was used last."""

    _used_at = 0.0

    def getresponse(self) -> Any:
        self._used_at = time.monotonic()
        return super().getresponse()

    @property
    def is_connected(self) -> bool:
        return super().is_connected and time.monotonic() - self._used_at < IDLE_S_MAX


class _TcpConnection(_Rests):
    def _new_conn(self) -> socket.socket:
        made = super()._new_conn()
        return _PlainSocket(made.family, made.type, made.proto, fileno=made.detach())


class _TlsConnection(_Rests, HTTPSConnection):
    """Its sockets come from the pool's SSL context."""


class _UnixConnection(_Rests):
    path: str

    def _new_conn(self) -> socket.socket:
        sock = _PlainSocket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            _give_the_time_left(sock)
            sock.connect(self.path)
        except TimeoutError as error:
            sock.close()
            raise ConnectTimeoutError(self, f"{self.path} does not accept connections.") from error
        except OSError as error:
            sock.close()
            raise NewConnectionError(self, f"{self.path}: {error.strerror or error}") from error
        return sock


class _UnixPool(urllib3.HTTPConnectionPool):
    def __init__(self, path: str, connections: int) -> None:
        super().__init__("localhost", maxsize=connections)
        self._path = path

    def _new_conn(self) -> _UnixConnection:
        connection = _UnixConnection(self.host)
        connection.path = self._path
        return connection
