"""Traces, against a receiver that speaks OTLP over HTTP."""

import http.client
import http.server
import threading
from contextlib import contextmanager

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse

from gateway.settings import BadSettings, Settings
from tests.conftest import PHOTOS
from tests.processes import ADMIN, running

PHOTO = (PHOTOS / "000000000471.jpg").read_bytes()
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
CALLER_SPAN = "b7ad6b7169203331"


@contextmanager
def receiver():
    """Takes spans at an address; yields that and what came so far."""
    spans, service = [], set()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            assert self.path == "/v1/traces"
            sent = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
            for resource in sent.resource_spans:
                service.update(a.value.string_value for a in resource.resource.attributes if a.key == "service.name")
                spans.extend(span for scope in resource.scope_spans for span in scope.spans)
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.end_headers()
            self.wfile.write(ExportTraceServiceResponse().SerializeToString())

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", spans, service
    finally:
        server.shutdown()
        server.server_close()


def test_a_request_is_a_span_of_its_callers_trace_with_a_span_for_each_stage(tmp_path):
    with receiver() as (address, spans, service):
        with running(tmp_path, "serve", OTEL_EXPORTER_OTLP_ENDPOINT=address) as server:
            server.wait_until_ready()
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
            headers = {"Authorization": f"Bearer {ADMIN}", "Content-Type": "image/jpeg", "traceparent": f"00-{TRACE_ID}-{CALLER_SPAN}-01"}
            connection.request("POST", "/v1/detections", PHOTO, headers)
            assert connection.getresponse().status == 200
            connection.close()
        # the server has stopped, and has sent what waited
        assert service == {"vision-gateway"}
        ours = [span for span in spans if span.trace_id.hex() == TRACE_ID]
        (whole,) = [span for span in ours if span.parent_span_id.hex() == CALLER_SPAN]
        assert whole.name == "POST /v1/detections"
        stages = [span for span in ours if span is not whole]
        assert {span.name for span in stages} >= {"read", "choose", "reserve", "detect", "settle", "write"}
        assert {span.parent_span_id for span in stages} == {whole.span_id}
        facts = {fact.key: fact.value for fact in whole.attributes}
        assert facts["http.response.status_code"].int_value == 200
        assert facts["provider"].string_value == "local"
        assert not [span for span in spans if "/readyz" in span.name], "what only asks for health is not traced"


def test_an_endpoint_without_the_extra_stops_the_start_and_says_what_to_install(monkeypatch):
    monkeypatch.setattr("gateway.monitoring.tracing.importlib.util.find_spec", lambda _name: None)
    with pytest.raises(BadSettings, match=r"OTEL_EXPORTER_OTLP_ENDPOINT: .*'\.\[otel\]'"):
        Settings.from_env({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"})


def test_the_whole_address_of_the_receiver_may_be_named():
    assert Settings.from_env({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4318/"}).traces_endpoint == "http://a:4318/v1/traces"
    assert Settings.from_env({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://a/in"}).traces_endpoint == "http://a/in"
    assert Settings.from_env({}).traces_endpoint is None
