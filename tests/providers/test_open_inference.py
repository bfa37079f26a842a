"""The client against a server that says exactly what a test wants, byte by byte, over real sockets."""

import json
import socket
import ssl
import threading
import time

import numpy as np
import pytest

from providers import errors, open_inference
from providers.contract import Health
from providers.open_inference import ANSWER_BYTES_MAX, OpenInference, parse

PIXELS = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)


def http(body, status="200 OK", **headers):
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *(f"{name.replace('_', '-')}: {v}" for name, v in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def answer(**changes):
    told = {
        "model_name": "m",
        "model_version": "7",
        "outputs": [
            {"name": "boxes", "datatype": "FP32", "shape": [1, 4], "data": [0.1, 0.2, 0.3, 0.4]},
            {"name": "scores", "datatype": "FP32", "shape": [1], "data": [0.9]},
            {"name": "classes", "datatype": "BYTES", "shape": [1], "data": ["cat"]},
        ],
    }
    return json.dumps({**told, **changes}).encode()


def output(number, data):
    outputs = json.loads(answer())["outputs"]
    outputs[number]["data"] = data
    return answer(outputs=outputs)


class Scripted:
    """A server on a Unix socket. `script(connection, request)` says what each request gets."""

    def __init__(self, path, script):
        self.requests = []
        self._script = script
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(8)
        self._open = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            while request := read_request(connection):
                self.requests.append(request)
                if self._script(connection, request) is False:
                    break
        except OSError:
            pass
        finally:
            connection.close()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            connection.close()


def read_request(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65_536)
        if not chunk:
            return None
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), 0)
    while len(body) < length:
        body += connection.recv(65_536)
    return head, body


@pytest.fixture
def scripted(tmp_path):
    """`scripted(script)` gives a client of a server that follows the script."""
    made = []

    def make(script):
        path = tmp_path / f"{len(made)}.sock"
        server = Scripted(path, script if callable(script) else lambda connection, _: connection.sendall(script))
        client = OpenInference(f"unix:{path}", default_model="m")
        made.append((server, client))
        return server, client

    yield make
    for server, client in made:
        client.close()
        server.close()


def asked(client, timeout_s=5.0):
    return client.predict(PIXELS, time.monotonic() + timeout_s)


def test_pixels_are_sent_as_a_binary_tensor_with_the_time_that_is_left(scripted):
    server, client = scripted(http(answer()))
    seen = asked(client)
    assert (seen.labels, seen.model) == (("cat",), "m 7")
    assert seen.boxes.tolist() == [pytest.approx([0.1, 0.2, 0.3, 0.4])]
    assert client.model == "m 7"
    [(head, body)] = server.requests
    assert head.startswith(b"POST /v2/models/m/infer HTTP/1.1\r\n")
    length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"inference-header"))
    told = json.loads(body[:length])
    assert told["inputs"][0]["shape"] == [2, 3, 3]
    assert body[length:] == PIXELS.tobytes()
    assert 4_000_000 < told["parameters"]["timeout"] <= 5_000_000


def test_connections_are_kept(scripted):
    seen = set()
    _, client = scripted(lambda connection, _: (seen.add(connection.fileno()), connection.sendall(http(answer())))[1])
    for _ in range(3):
        asked(client)
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("400 Bad Request", errors.ProviderMisconfigured),
        ("401 Unauthorized", errors.ProviderMisconfigured),
        ("404 Not Found", errors.ProviderMisconfigured),
        ("413 Too Large", errors.ImageRefused),
        ("429 Too Many Requests", errors.ProviderThrottled),
        ("500 Internal Server Error", errors.ProviderFailed),
        ("502 Bad Gateway", errors.ProviderFailed),
        ("503 Service Unavailable", errors.ProviderOverloaded),
        ("504 Gateway Timeout", errors.ProviderTimeout),
        ("302 Found", errors.ProviderProtocolError),
        ("418 Teapot", errors.ProviderProtocolError),
    ],
)
def test_each_status_has_its_error(scripted, status, error):
    server, client = scripted(http(b'{"error": "so it is"}', status, Location="/elsewhere"))
    with pytest.raises(errors.ProviderError, match="so it is") as raised:
        asked(client)
    assert type(raised.value) is error
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "reply",
    [
        http(b""),
        http(b"<html>hello</html>"),
        http(b"[" * 100_000),
        http(b"{}"),
        http(b"[]"),
        http(answer(outputs=[])),
        http(answer(outputs=[1])),
        http(answer(outputs={})),
        http(output(0, [0.1, 0.2])),
        http(output(0, [0.1, 0.2, 0.3, float("nan")])),
        http(output(0, "boxes")),
        http(output(1, [1.5])),
        http(output(1, [float("nan")])),
        http(output(1, [0.5, 0.5])),
        http(output(2, None)),
        http(answer(), Inference_Header_Content_Length="99999"),
        http(answer(), Inference_Header_Content_Length="x"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + answer()[:20],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"hello, this is not HTTP\r\n\r\n",
        http(b" " * (ANSWER_BYTES_MAX + 1)),
    ],
    ids=lambda reply: repr(reply[-40:]),
)
def test_garbage_or_a_truncated_answer_is_a_protocol_error_and_never_no_objects(scripted, reply):
    def script(connection, _):
        connection.sendall(reply)
        return False

    _, client = scripted(script)
    with pytest.raises(errors.ProviderProtocolError):
        asked(client)


def test_a_connection_that_is_closed_without_an_answer_is_a_failure_and_not_asked_again(scripted):
    server, client = scripted(lambda *_: False)
    with pytest.raises(errors.ProviderFailed):
        asked(client)
    assert len(server.requests) == 1


def dribble(reply):
    def script(connection, _):
        for byte in reply:
            connection.sendall(bytes([byte]))
            time.sleep(0.02)

    return script


@pytest.mark.parametrize(
    "script",
    [lambda *_: time.sleep(2), dribble(http(answer(), Padding="x" * 500)), dribble(http(answer()) + b" " * 500)],
    ids=["silence", "dribbled head", "dribbled body"],
)
def test_time_is_kept_in_all_however_slowly_the_answer_dribbles(scripted, script):
    _, client = scripted(script)
    began = time.monotonic()
    with pytest.raises(errors.ProviderTimeout):
        asked(client, timeout_s=0.3)
    assert time.monotonic() - began < 8  # it would be 10 s and more


def test_a_server_that_does_not_read_is_a_timeout_too(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen(1)
        client = OpenInference(f"unix:{tmp_path}/s", default_model="m")
        with pytest.raises(errors.ProviderTimeout):
            client.predict(np.zeros((2000, 1000, 3), np.uint8), time.monotonic() + 0.3)
        client.close()


def test_nobody_there_is_unreachable(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        for url in (f"unix:{tmp_path}/none.sock", f"http://127.0.0.1:{port}", f"https://127.0.0.1:{port}"):
            client = OpenInference(url, default_model="m")
            with pytest.raises(errors.ProviderUnreachable):
                asked(client)
            assert not client.health().ready
            client.close()


def test_no_tls_where_tls_was_meant_is_unreachable():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def plain():
            connection, _ = listener.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=plain, daemon=True).start()
        client = OpenInference(f"https://127.0.0.1:{listener.getsockname()[1]}", default_model="m")
        with pytest.raises(errors.ProviderUnreachable) as raised:
            asked(client)
        assert isinstance(raised.value.__cause__.__context__, ssl.SSLError)
        client.close()


def test_no_time_left_sends_nothing(scripted):
    server, client = scripted(http(answer()))
    with pytest.raises(errors.ProviderOverloaded):
        asked(client, timeout_s=0)
    assert server.requests == []


def test_health_asks_at_most_once_a_second_and_learns_the_version(scripted):
    server, client = scripted(http(b'{"name": "m", "versions": ["6", "8"]}'))
    assert client.model == "m 8"
    for _ in range(50):
        assert client.health().ready
    assert [head.split()[1] for head, _ in server.requests] == [b"/v2/models/m/ready", b"/v2/models/m"]


def test_a_server_that_is_not_ready_is_told_with_its_reason(scripted):
    _, client = scripted(http(b'{"error": "still loading"}', "503 Service Unavailable"))
    assert not client.health().ready
    assert "still loading" in client.health().detail
    assert client.model == "m"


def test_a_probe_that_is_late_once_says_nothing_and_twice_that_nobody_is_there(scripted, monkeypatch):
    monkeypatch.setattr(open_inference, "PROBE_EVERY_S", 0.0)
    hangs = threading.Event()
    _, client = scripted(lambda connection, _: hangs.is_set() or connection.sendall(http(b'{"name": "m", "versions": ["6"]}')))
    assert client.health().ready
    hangs.set()
    assert client.health().ready
    assert client.health() == Health(ready=False, detail="The model server has not answered in time.")
    hangs.clear()
    assert client.health().ready
    hangs.set()
    assert client.health().ready, "the one before was in time"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"name": "m", "versions": 5}'])
def test_metadata_that_is_none_is_not_ready(scripted, body):
    _, client = scripted(http(body))
    assert not client.health().ready


def test_the_address_may_name_another_model(tmp_path, scripted):
    server, _ = scripted(http(answer()))
    client = OpenInference(f"unix:{tmp_path}/0.sock/v2/models/my%20model/", default_model="m")
    asked(client)
    assert server.requests[0][0].startswith(b"POST /v2/models/my%20model/infer ")
    client.close()


@pytest.mark.parametrize("url", ["ftp://host", "http://", "unix:", "unix://host/path", "nonsense", "http://host:port"])
def test_another_kind_of_address_is_refused(url):
    with pytest.raises(ValueError, match=r"none of|Port|port"):
        OpenInference(url, default_model="m")


def test_binary_tensors_are_read_behind_the_json():
    outputs = [
        {"name": "scores", "parameters": {"binary_data_size": 4}},
        {"name": "boxes", "parameters": {"binary_data_size": 16}},
        {"name": "classes", "parameters": {"binary_data_size": 9}},
    ]
    head = json.dumps({"model_name": "m", "outputs": outputs}).encode()
    tail = np.array([0.5, 0, 0.25, 1, 0.75], "<f4").tobytes() + b"\x05\0\0\0sheep"
    seen = parse(head + tail, str(len(head)))
    assert seen.boxes.tolist() == [[0, 0.25, 1, 0.75]]
    assert (seen.confidences.tolist(), seen.labels, seen.model) == ([0.5], ("sheep",), "m")
    for cut in range(1, len(tail)):
        with pytest.raises(ValueError, match=r"ends within"):
            parse((head + tail)[:-cut], str(len(head)))


@pytest.mark.parametrize(
    ("status", "told", "fill"),
    [
        (200, 'model_images_total{model="m"} 7\nmodel_batch_fill_ratio{model="m",version="1"} 0.75\n', 0.75),
        (200, "nv_inference_count 7\n", None),
        (404, "", None),
    ],
    ids=["ours", "another's", "none"],
)
def test_how_full_the_servers_batches_are_is_known_where_it_says_so(scripted, status, told, fill):
    _, client = scripted(f"HTTP/1.1 {status} X\r\nContent-Length: {len(told)}\r\nConnection: close\r\n\r\n{told}".encode())
    assert client.batch_fill() == fill


def test_a_very_large_picture_is_sent_smaller_in_the_same_shape(scripted):
    server, client = scripted(http(answer()))
    client.predict(np.zeros((3000, 4000, 3), np.uint8), time.monotonic() + 20)
    [(head, body)] = server.requests
    length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"inference-header"))
    assert json.loads(body[:length])["inputs"][0]["shape"] == [1500, 2000, 3]
    assert len(body) - length == 1500 * 2000 * 3


def test_the_machines_time_is_read_where_it_is_told_and_nonsense_is_no_answer():
    assert parse(answer(), None).machine_us is None
    assert parse(answer(parameters={"machine_us": 14_000}), None).machine_us == 14_000
    for nonsense in (-1, 1.5, "1", True, 10**12):
        with pytest.raises(ValueError, match="microseconds"):
            parse(answer(parameters={"machine_us": nonsense}), None)
