"""A TCP proxy that spoils what comes back: for wire protocols whose servers behave.

The names are Toxiproxy's ideas (https://github.com/Shopify/toxiproxy#toxics): slicer with a delay, timeout, reset_peer.
"""

import contextlib
import socket
import struct
import threading
import time
from typing import Literal

Toxic = Literal["", "dribble", "hang", "reset", "slow"]

_DRIBBLE_S = 0.05
_SLOW_S = 0.2


class Proxy:
    """Forwards to a port of this machine; what comes back dribbles, never comes, is late or comes with a reset. `toxic` may change."""

    def __init__(self, port: int, toxic: Toxic) -> None:
        self._target, self.toxic = port, toxic
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._cut: set[socket.socket] = set()
        self._stopped = threading.Event()
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for connection in (self._listening, *self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._target))
                except OSError:  # the proxied server is away: so is its proxy
                    client.close()
                    continue
                self._open += [client, server]
                for work in (self._forward, self._return):
                    threading.Thread(target=work, args=(client, server), daemon=True).start()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65_536):
                resets = self.toxic == "reset" and len(data) > 1_000  # the request itself, not the greeting
                if resets:
                    self._cut.add(client)  # first: its answer may come before this thread goes on
                server.sendall(data)
                if resets:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    client.close()

    def _return(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65_536):
                if self.toxic == "hang" or client in self._cut:
                    continue
                if self.toxic in {"", "slow", "reset"}:
                    self._stopped.wait(_SLOW_S if self.toxic == "slow" else 0)
                    client.sendall(data)
                    continue
                for byte in data:
                    client.sendall(bytes([byte]))
                    time.sleep(_DRIBBLE_S)
            if self.toxic in {"", "slow"}:
                client.shutdown(socket.SHUT_RDWR)
