"""The HTTP side of the stand-ins: faults on the wire, and the addresses that set and read a stand-in while it runs."""

import contextlib
import json
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.clouds.behaviour import Conduct
from tests.clouds.bill import Bill

WIRE_FAULTS = (
    "hang",
    "hang_in_body",
    "dribble",
    "dribble_head",
    "reset",
    "close",
    "truncated",
    "html",
    "empty",
    "braces",
    "list",
    "null",
    "huge",
)
"""What can happen to an answer on its way. The call was made, so it is billed."""

_HTML = b"<!DOCTYPE html><html><body><h1>It works!</h1></body></html>"
_DRIBBLE_S = 0.02


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int, handler: type["Handler"], stand_in: Any, conduct: Conduct, bill: Bill) -> None:
        super().__init__(("127.0.0.1", port), handler)
        self.stand_in, self.conduct, self.bill = stand_in, conduct, bill
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def stop(self) -> None:
        self.conduct.stopped.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone is no news."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        if self.path == "/_control":
            self.answer(200, self.server.conduct.described())
        elif self.path == "/_bill":
            self.answer(200, {"units": self.server.bill.units(), "requests": dict(self.server.bill.requests)})
        else:
            self.answer(404, {"message": "not here"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/_control":
            try:
                self.server.conduct.change(**json.loads(body))
            except (ValueError, TypeError) as error:
                self.answer(400, {"message": str(error)})
            else:
                self.answer(200, self.server.conduct.described())
        else:
            self.serve(body)

    def serve(self, body: bytes) -> None:
        raise NotImplementedError

    def answer(self, status: int, document: Any, content_type: str = "application/json", headers: dict[str, str] | None = None) -> None:
        self.send(status, json.dumps(document).encode(), content_type, headers)

    def send(self, status: int, body: bytes, content_type: str, headers: dict[str, str] | None = None, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def misbehave(self, fault: str, body: bytes, content_type: str) -> None:
        """One of `WIRE_FAULTS` instead of the answer `body`."""
        self.close_connection = fault in {"hang", "hang_in_body", "dribble", "dribble_head", "reset", "close", "truncated"}
        with contextlib.suppress(OSError):
            self._misbehave(fault, body, content_type)

    def _misbehave(self, fault: str, body: bytes, content_type: str) -> None:
        match fault:
            case "hang":
                self.server.conduct.hang()
            case "hang_in_body":
                self.send(200, body[: len(body) // 2], content_type, length=len(body))
                self.server.conduct.hang()
            case "dribble":
                self.send(200, b"", content_type, length=len(body) + 1_000_000)
                self._dribble(body)
            case "dribble_head":
                self._dribble(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            case "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
            case "close":
                self.connection.shutdown(socket.SHUT_RDWR)
            case "truncated":
                self.send(200, body[: len(body) // 2], content_type, length=len(body))
                self.connection.shutdown(socket.SHUT_RDWR)
            case "html":
                self.send(200, _HTML, "text/html")
            case "huge":
                self.send(200, b'{"Labels":[' + b" " * 20_000_000 + b"]}", content_type)
            case _:
                self.send(200, {"empty": b"", "braces": b"{}", "list": b"[]", "null": b"null"}[fault], content_type)

    def _dribble(self, start: bytes) -> None:
        """A byte at a time, and never an end."""
        at = 0
        while not self.server.conduct.stopped.is_set():
            self.wfile.write(start[at : at + 1] or b" ")
            at += 1
            time.sleep(_DRIBBLE_S)

    def log_message(self, *args: object) -> None:
        """The bill is the log."""
