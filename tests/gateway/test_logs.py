import concurrent.futures
import io
import json
import logging
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from gateway import logs
from gateway.logs import JsonFormatter, LinesBehind


def line_of(**fields):
    record = logging.makeLogRecord({"name": "gateway", "levelname": "INFO", "msg": "request.answered", **fields})
    return JsonFormatter().format(record)


def test_a_record_is_one_line_of_json_with_its_fields():
    line = json.loads(line_of(status=200, attempts=["local:answered"]))
    assert (line["event"], line["level"], line["status"], line["attempts"]) == ("request.answered", "info", 200, ["local:answered"])
    assert line["at"].endswith("+00:00")


def test_nothing_that_a_client_sends_can_begin_a_new_line():
    assert "\n" not in line_of(request_id='x"\n{"event": "forged"}')


def test_a_traceback_is_a_field():
    error = ValueError("why")
    record = logging.makeLogRecord({"msg": "request.failed", "exc_info": (ValueError, error, None)})
    assert "ValueError: why" in json.loads(JsonFormatter().format(record))["traceback"]


@pytest.mark.parametrize("text", ["\u2028", "é", "half a character: \ud800", "\x85"])
def test_a_line_is_ascii_whatever_a_client_has_sent(text):
    line = line_of(client=text)
    assert line.isascii()
    assert json.loads(line)["client"] == text


def test_what_is_no_json_is_written_as_text():
    assert json.loads(line_of(path=Path("/a"), kind=int))["path"] == "/a"


class TestLinesBehind:
    @pytest.fixture
    def stream(self):
        return io.StringIO()

    @pytest.fixture
    def log(self, stream):
        handler = LinesBehind(stream)
        handler.setFormatter(JsonFormatter())
        log = logging.Logger("mine", logging.INFO)
        log.addHandler(handler)
        return log

    def test_a_line_is_written_a_moment_later(self, log, stream):
        log.info("request.answered")
        assert not stream.getvalue()
        give_up_at = time.monotonic() + 5
        while not stream.getvalue():
            assert time.monotonic() < give_up_at
            time.sleep(0.01)
        assert stream.getvalue().count("\n") == 1

    def test_a_warning_brings_all_before_it_along_at_once_and_in_order(self, log, stream):
        log.info("first")
        log.info("second")
        log.warning("third")
        assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["first", "second", "third"]

    def test_a_record_that_cannot_be_written_takes_no_other_with_it(self, log, stream, capsys):
        log.info("first")
        log.info("%d", "no number")
        log.warning("third")
        assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["first", "third"]
        assert "no number" in capsys.readouterr().err

    @pytest.fixture
    def pipe(self):
        """Its end to be read, and a logger at the other; by default it holds 64 KiB."""
        reading, writing = os.pipe()
        handler = LinesBehind(os.fdopen(writing, "w"))
        handler.setFormatter(JsonFormatter())
        log = logging.Logger("mine", logging.INFO)
        log.addHandler(handler)
        with os.fdopen(reading) as lines:
            yield lines, log

    def test_nobody_waits_where_nobody_reads_and_who_reads_later_gets_all_in_order(self, pipe):
        lines, log = pipe
        for nth in range(2_000):
            log.info("request.answered", extra={"nth": nth, "about": "x" * 100})
        time.sleep(0.2)  # by now its thread waits for a reader, with half of them in hand
        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda nth: log.info("request.answered", extra={"nth": nth}), range(2_000, 4_000)))
        assert time.monotonic() - began < 2.0
        log.warning("circuit.opened", extra={"nth": 4_000})
        assert time.monotonic() - began < 4.0, "a warning waits, but not for ever"
        told = [json.loads(lines.readline())["nth"] for _ in range(4_001)]
        assert told[:2_000] == list(range(2_000))
        assert sorted(told[2_000:4_000]) == list(range(2_000, 4_000)), "threads come as they like"
        assert told[-1] == 4_000

    def test_what_nobody_reads_is_not_kept_without_end_and_how_much_was_lost_is_told(self, pipe, monkeypatch):
        monkeypatch.setattr(logs, "_WAITING_MAX", 1_000)
        lines, log = pipe
        for nth in range(900):
            log.info("first", extra={"nth": nth, "about": "x" * 100})
        time.sleep(0.2)
        for _ in range(1_500):
            log.info("second")
        told = Counter()
        while not told["logs.lost"]:
            line = json.loads(lines.readline())
            told[line["event"]] += 1
        assert told == {"first": 900, "second": 1_000, "logs.lost": 1}
        assert line["lines"] == 500

    def test_a_process_ends_though_nobody_reads(self):
        code = (
            "import logging; from gateway.logs import log_as_json; log_as_json(); "
            "[logging.info('x' * 100) for _ in range(2000)]; import time; time.sleep(0.2); logging.shutdown(); import os; os._exit(3)"
        )
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
            try:
                assert process.wait(30) == 3
            finally:
                process.kill()

    def test_a_process_that_ends_loses_none(self):
        code = "import logging; from gateway.logs import log_as_json; log_as_json(); [logging.info('one') for _ in range(100)]"
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
        assert told.stdout.count('"event":"one"') == 100
