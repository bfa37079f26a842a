"""JSON lines on stdout: the event is a dotted name, the facts are fields. Never an image, a key or a URL with a secret."""

import functools
import json
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TextIO

from pydantic_core import PydanticSerializationError, to_json

_EVERY_S = 0.05
_PATIENCE_S = 0.25
_WAITING_MAX = 10_000
"""Where nobody reads them as fast as they come, the others are lost."""

_BLANK = logging.makeLogRecord({}).__dict__
_STANDARD = frozenset(_BLANK) | {"message", "asctime", "taskName"}


class Event(logging.LogRecord):
    """A record of an event and its facts, made for `Logger.handle` in a fraction of the time that `Logger.log` takes with `extra`."""

    def __init__(self, logger: str, level: int, event: str, facts: Mapping[str, object]) -> None:
        """As if `event` had been logged now with these facts as `extra`."""
        self.name, self.levelno, self.levelname, self.msg = logger, level, logging.getLevelName(level), event
        self.created = time.time()
        self.facts = facts


for _name, _value in _BLANK.items():  # what else a record has, each event has from its class
    setattr(Event, _name, _value)


class JsonFormatter(logging.Formatter):
    """One record as one JSON object: time, level, logger, event, then its facts: those of an `Event`, or the `extra` fields of a record."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, object] = {
            "at": _moment(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        line |= record.facts if type(record) is Event else {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return _written(line)


def _written(line: dict[str, object]) -> str:
    """In ASCII, whatever a client has sent: some readers of logs also end a line at U+2028. The fast writer knows no escapes for it."""
    try:
        text = to_json(line, fallback=str)
        if text.isascii():
            return text.decode()
    except PydanticSerializationError:  # half a character
        pass
    return json.dumps(line, default=str)


def _moment(at_s: float) -> str:
    """As 2026-11-22T12:00:00.123+00:00; the second is written once for all lines of it."""
    second, fraction = divmod(at_s, 1)
    return f"{_second(int(second))}.{int(fraction * 1000):03d}+00:00"


@functools.lru_cache(maxsize=4)
def _second(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class LinesBehind(logging.StreamHandler[TextIO]):
    """Writes what came in one piece, a moment later: a write for every request made the others wait in turn for the interpreter.

    Only its own thread writes, and takes no lock that a request takes: where nobody reads, nobody waits, and what is too much is lost and
    counted. Who logs a warning waits a little until it, and all before it, is written. A killed process loses the rest of its last
    `_EVERY_S` seconds; one that ends does not.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._waiting: deque[logging.LogRecord | threading.Event] = deque()  # whose ends are safe to use at the same time
        self._lost = 0
        self._writing = threading.Lock()
        self._some, self._hurry = threading.Event(), threading.Event()
        threading.Thread(target=self._run, name="logs", daemon=True).start()

    def handle(self, record: logging.LogRecord) -> bool:
        """Take a record: without the handler's lock, since nothing here needs it."""
        if not self.filter(record):
            return False
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Let a record wait, and a warning's thread until it is written, but not for long."""
        if len(self._waiting) >= _WAITING_MAX:
            self._lost += 1
            return
        self._waiting.append(record)
        if not self._some.is_set():
            self._some.set()
        if record.levelno >= logging.WARNING:
            written = threading.Event()
            self._waiting.append(written)
            self._hurry.set()
            written.wait(_PATIENCE_S)

    def flush(self) -> None:
        """Write what waits: the thread's, and at the end of a process logging's own, which waits no longer for one who does not read."""
        if not self._writing.acquire(timeout=_PATIENCE_S):
            return
        try:
            waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
            records = [one for one in waiting if isinstance(one, logging.LogRecord)]
            lost, self._lost = self._lost, 0
            if lost:
                records.append(Event(__name__, logging.WARNING, "logs.lost", {"lines": lost}))
            try:
                if records:
                    self.stream.write("".join([line for record in records if (line := self._line(record))]))
                    self.stream.flush()
            except Exception:  # noqa: BLE001 -- logging's own way: nobody fails because nobody listens
                self.handleError(records[-1])
            for one in waiting:
                if isinstance(one, threading.Event):
                    one.set()
        finally:
            self._writing.release()

    def _line(self, record: logging.LogRecord) -> str:
        try:
            return f"{self.format(record)}\n"
        except Exception:  # noqa: BLE001
            self.handleError(record)
            return ""

    def _run(self) -> None:
        while True:
            self._some.wait()
            self._some.clear()
            self._hurry.wait(_EVERY_S)
            self._hurry.clear()
            self.flush()


def log_as_json(level: int = logging.INFO) -> None:
    """Send every logger's records to stdout as JSON lines. Called once, where a process starts."""
    # What a line does not say need not be found out: https://docs.python.org/3/howto/logging.html#optimization
    logging._srcfile = None  # noqa: SLF001 -- the documented way
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = LinesBehind(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for chatty in ("alembic", "botocore", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
