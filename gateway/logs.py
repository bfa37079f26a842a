"""JSON lines on stdout: the event is a dotted name, the facts are fields. Never an image, a key or a URL with a secret."""

import functools
import json
import logging
import sys
from datetime import UTC, datetime

_ENCODER = json.JSONEncoder(default=str)  # json.dumps would make one a line
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """One record as one JSON object: time, level, logger, event, then the record's `extra` fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, object] = {
            "at": _moment(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        line |= {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return _ENCODER.encode(line)


def _moment(at_s: float) -> str:
    """As 2026-11-22T12:00:00.123+00:00; the second is written once for all lines of it."""
    second, fraction = divmod(at_s, 1)
    return f"{_second(int(second))}.{int(fraction * 1000):03d}+00:00"


@functools.lru_cache(maxsize=4)
def _second(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def log_as_json(level: int = logging.INFO) -> None:
    """Send every logger's records to stdout as JSON lines. Called once, where a process starts."""
    # What a line does not say need not be found out: https://docs.python.org/3/howto/logging.html#optimization
    logging._srcfile = None  # noqa: SLF001 -- the documented way
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for chatty in ("alembic", "botocore", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
