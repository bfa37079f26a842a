import json
import logging

from gateway.logs import JsonFormatter


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
