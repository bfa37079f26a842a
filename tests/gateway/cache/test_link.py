"""The connection to Redis: how long it is waited for, also after it was lost."""

import contextlib
import signal
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.cache import link
from gateway.cache.circuit import Circuit
from gateway.cache.link import RedisStore
from gateway.cache.store import Entry
from tests.gateway.cache.servers import Server
from tests.waiting import until


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path)
    yield server
    server.close()


@pytest.fixture
def store(server):
    store = RedisStore(f"redis://127.0.0.1:{server.port}", 4)
    yield store
    store.close()
    if store._own._mine.connection is not None:  # its thread would close it with itself
        store._own._mine.connection.disconnect()


def opened(store):
    """This thread's own socket."""
    return store._own._mine.connection._get_socket()


def waits_in_the_kernel(opened):
    told = [struct.unpack("@ll", opened.getsockopt(socket.SOL_SOCKET, one, 16)) for one in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO)]
    timeouts_s = [seconds + micros / 1e6 for seconds, micros in told]  # rounded to the kernel's ticks
    return opened.gettimeout() is None and all(link.TIMEOUT_S <= one < link.TIMEOUT_S + 0.02 for one in timeouts_s)


def read_again(store):
    """Once its thread no longer leaves it alone."""
    give_up_at = time.monotonic() + 10
    while store.get("a") is None:
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


@pytest.mark.parametrize("how", ["server started again", "connection closed by the server", "outage"])
def test_a_socket_keeps_the_kernels_timeout_after_a_reconnect_and_nobody_waits_longer(server, store, how):
    store.put([Entry("a", b"1", 60)])
    assert store.get("a") == b"1"
    before = opened(store)
    assert waits_in_the_kernel(before)
    if how == "server started again":
        server.kill()
        server.start()
    elif how == "connection closed by the server":
        with server.admin() as admin:
            admin.client_kill_filter(_type="normal", skipme=True)
    else:
        store._own.renew()
    with server.admin() as admin:
        admin.set("a", b"1")
    read_again(store)
    assert opened(store) is not before
    assert waits_in_the_kernel(opened(store))

    server.send(signal.SIGSTOP)
    began = time.monotonic()
    assert store.get("a") is None
    assert 0.8 * link.TIMEOUT_S < time.monotonic() - began < 10 * link.TIMEOUT_S
    server.send(signal.SIGCONT)


def read_together(store):
    """Eight in the same moment, in threads that have not waited for it yet."""
    together = threading.Barrier(8)

    def read(_):
        together.wait()
        return store.get("a")

    with ThreadPoolExecutor(8) as threads:
        return list(threads.map(read, range(8)))


def test_errors_of_one_moment_are_one_and_only_the_third_moment_in_a_row_opens_the_circuit():
    circuit = Circuit("reading", lambda: None)
    opened = []
    for _ in range(3):
        began = time.monotonic()
        opened += [circuit.failed(TimeoutError(), began) for _ in range(8)]
    circuit.close()
    assert opened == [False] * 16 + [True] + [False] * 7


def test_a_moment_in_which_many_wait_leaves_a_server_in_use_and_a_longer_one_leaves_it_alone(server):
    with contextlib.closing(RedisStore(f"redis://127.0.0.1:{server.port}", 64)) as store:
        store.put([Entry("a", b"1", 60)])
        server.send(signal.SIGSTOP)
        try:
            assert read_together(store) == [None] * 8
            assert store.reading.problem is None
            until(lambda: read_together(store) == [None] * 8 and store.reading.problem)
        finally:
            server.send(signal.SIGCONT)
        until(lambda: read_together(store) == [b"1"] * 8)


def test_an_answer_between_two_errors_makes_the_next_one_the_first_again(server, store):
    store.put([Entry("a", b"1", 60)])
    for _ in range(4):
        server.send(signal.SIGSTOP)
        assert store.get("a") is None
        server.send(signal.SIGCONT)
        assert store.reading.problem is None
        read_again(store)


def test_connections_that_were_closed_are_not_counted_for_ever(server, store, monkeypatch):
    store.put([Entry("a", b"1", 60)])
    monkeypatch.setattr(link._OwnConnections, "_IDLE_S_MAX", -1.0)  # each look finds its connection too old
    assert [store.get("a") for _ in range(20)] == [b"1"] * 20, "of a store that may have four connections"
    assert store.problem() is None
