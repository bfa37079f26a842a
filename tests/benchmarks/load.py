"""A load generator for the benches: many keep-alive connections in one thread each, requests made beforehand, so that it costs little."""

import http.client
import queue
import socket
import threading
import time
from collections import Counter
from contextlib import suppress


class Client:
    """One keep-alive connection to `unix:PATH` or `HOST:PORT`."""

    def __init__(self, address):
        self._address = address
        self._socket = None

    def send(self, request):
        """One exchange of a ready-made request: status and body. A connection that the server has closed is opened anew."""
        while True:
            fresh = self._socket is None
            try:
                return self._exchange(request)
            except (OSError, http.client.HTTPException):
                self.close()
                if fresh:
                    raise

    def _exchange(self, request):
        if self._socket is None:
            self._connect()
        self._socket.sendall(request)
        response = http.client.HTTPResponse(self._socket)
        response.begin()
        body = response.read()
        if response.will_close:
            self.close()
        return response.status, body

    def close(self):
        if self._socket is not None:
            with suppress(OSError):
                self._socket.close()
        self._socket = None

    def _connect(self):
        if self._address.startswith("unix:"):
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.connect(self._address.removeprefix("unix:"))
        else:
            host, port = self._address.rsplit(":", 1)
            self._socket = socket.create_connection((host, int(port)))
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def post(path, body, headers):
    """A request as bytes."""
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: bench",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def closed(address, requests, clients, seconds, check=lambda number, body: None):
    """So many clients that each send their next picture when they have the answer: answers a second, and latencies in ms."""
    latencies, errors = [], Counter()
    stop = time.monotonic() + seconds

    def loop(first):
        client, number = Client(address), first
        while time.monotonic() < stop:
            began = time.monotonic()
            status, body = client.send(requests[number % len(requests)])
            if status == 200:
                latencies.append((time.monotonic() - began) * 1000)
                check(number % len(requests), body)
            else:
                errors[status] += 1
            number += clients
        client.close()

    seconds = _run([threading.Thread(target=loop, args=(number,)) for number in range(clients)])
    return len(latencies) / seconds, latencies, errors


def opened(address, requests, per_second, seconds, clients=128):
    """Arrivals at a steady rate, whether or not those before are answered.

    Returns: by status the latencies in ms, from when each was due and from when it was sent; and the seconds from the first arrival on.
    """
    latencies, jobs = {}, queue.SimpleQueue()
    start = time.monotonic() + 0.2
    count = int(per_second * seconds)
    for number in range(count):
        jobs.put((start + number / per_second, number))
    for _ in range(clients):
        jobs.put(None)

    def client():
        connection = Client(address)
        while (job := jobs.get()) is not None:
            due, number = job
            time.sleep(max(due - time.monotonic(), 0))
            began = time.monotonic()
            status, _ = connection.send(requests[number % len(requests)])
            ended = time.monotonic()
            latencies.setdefault(status, []).append(((ended - due) * 1000, (ended - began) * 1000))
        connection.close()

    _run([threading.Thread(target=client) for _ in range(clients)])
    return latencies, time.monotonic() - start


def percentile(values, share):
    return sorted(values)[min(int(share * len(values)), len(values) - 1)] if values else float("nan")


def _run(threads):
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.monotonic() - began
