"""The real server over real sockets."""

import concurrent.futures
import http.client
import json
import re
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.clouds import rekognition
from tests.clouds.behaviour import Behaviour
from tests.conftest import PHOTOS
from tests.processes import ADMIN, running
from tests.waiting import until

PHOTO = (PHOTOS / "000000000471.jpg").read_bytes()
HEADERS = {"Authorization": f"Bearer {ADMIN}", "Content-Type": "image/jpeg"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("server"), "serve") as server:
        yield server.wait_until_ready()


def post(server, body=PHOTO, headers=None, path="/v1/detections", **options):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("POST", path, body, HEADERS | (headers or {}), **options)
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    return response, answer


def raw_answer(server, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer


def resident_mb(pid: int) -> float:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    pages = sum(int(Path(f"/proc/{child}/statm").read_text().split()[1]) for child in (pid, *children))
    return pages * 4096 / 1e6


def test_two_hundred_requests_from_eight_threads_are_all_answered_and_memory_stays_flat(server):
    photos = [path.read_bytes() for path in sorted(PHOTOS.glob("*.jpg"))]

    def ask(nth):
        response, answer = post(server, photos[nth % len(photos)])
        return response.status, nth % len(photos), tuple(found["label"] for found in answer["detections"])

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        warm_up = list(pool.map(ask, range(120)))
        before = resident_mb(server.process.pid)
        answers = list(pool.map(ask, range(200)))
        after = resident_mb(server.process.pid)
    assert {status for status, _, _ in warm_up + answers} == {200}
    assert len({(photo, labels) for _, photo, labels in warm_up + answers}) == len(photos), "each answer is its own picture's"
    assert after < before * 1.15, f"{before:.0f} MB, then {after:.0f} MB"


def test_a_chunked_picture_is_read_whole(server):
    response, answer = post(server, iter([PHOTO[:1000], PHOTO[1000:]]), {"Transfer-Encoding": "chunked"}, encode_chunked=True)
    assert (response.status, [found["label"] for found in answer["detections"]]) == (200, ["bus"])


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "chunked"])
def test_a_picture_over_the_limit_is_refused_and_never_cut_short(server, chunked):
    too_large = PHOTO + bytes(20 * 1024 * 1024 + 1 - len(PHOTO))
    body = iter([too_large[at : at + 65536] for at in range(0, len(too_large), 65536)]) if chunked else too_large
    response, answer = post(server, body, {"Transfer-Encoding": "chunked"} if chunked else {}, encode_chunked=chunked)
    assert (response.status, answer["code"]) == (413, "image_too_large")


SMUGGLED = {
    "length and chunks": b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
    "two lengths": b"Content-Length: 4\r\nContent-Length: 40\r\n",
    "two encodings": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    "a length with a sign": b"Content-Length: +4\r\n",
    "a folded header": b"X-A: b\r\n  c\r\nContent-Length: 4\r\n",
    "a NUL": b"X-A: b\x00c\r\nContent-Length: 4\r\n",
}


@pytest.mark.parametrize("case", SMUGGLED)
def test_a_request_that_can_be_read_two_ways_gets_one_refusal(server, case):
    head = b"POST /v1/detections HTTP/1.1\r\nHost: x\r\n" + SMUGGLED[case] + b"\r\n"
    answer = raw_answer(server, head + b"0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert len(re.findall(rb"HTTP/1\.1 \d{3}", answer)) == 1, answer
    assert re.match(rb"HTTP/1\.1 4\d\d", answer), answer


CHUNKED, SIZED = b"Transfer-Encoding: chunked\r\n\r\n", b"Content-Length: 400\r\n\r\n"
BROKEN = {
    "a size in 0x": CHUNKED + b"0x4\r\nabcd\r\n0\r\n\r\n",
    "no size": CHUNKED + b"zz\r\nabcd\r\n0\r\n\r\n",
    "a negative size": CHUNKED + b"-4\r\nabcd\r\n0\r\n\r\n",
    "half a chunk": CHUNKED + b"190\r\nab",
    "no last chunk": CHUNKED + b"4\r\nabcd\r\n",
    "less than its length": SIZED + b"abcd",
}


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize(
    ("method", "path", "mimetype", "status", "code"),
    [
        (b"POST", b"/v1/detections", b"image/jpeg", b"400", b"invalid_image"),
        (b"POST", b"/v1/detections", b"application/json", b"400", b"invalid_image"),
        (b"PUT", b"/v1/budgets/shop", b"application/json", b"422", b"invalid_parameter"),
    ],
)
def test_a_body_that_breaks_off_is_refused_and_its_connection_closed(server, case, method, path, mimetype, status, code):
    head = method + b" " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Type: " + mimetype + b"\r\n"
    answer = raw_answer(server, head + f"Authorization: Bearer {ADMIN}\r\n".encode() + BROKEN[case])
    assert answer.startswith(b"HTTP/1.1 " + status), answer
    assert b'"code": "' + code in answer
    assert b"The body" in answer
    assert len(re.findall(rb"HTTP/1\.1 \d{3}", answer)) == 1, answer


def test_a_whole_picture_in_a_body_that_is_not_whole_is_not_answered(server):
    """What is missing may be a second picture's worth of form fields: the request is not the one that was meant."""
    head = f"POST /v1/detections HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nAuthorization: Bearer {ADMIN}\r\n"
    answer = raw_answer(server, head.encode() + f"Content-Length: {len(PHOTO) + 10}\r\n\r\n".encode() + PHOTO)
    assert answer.startswith(b"HTTP/1.1 400"), answer[:300]


def test_a_client_that_leaves_in_the_middle_of_its_upload_disturbs_nobody(server):
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(b"POST /v1/detections HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nhalf")
    assert post(server)[0].status == 200


def test_each_request_is_one_json_line_without_a_secret(server):
    response, _ = post(server, headers={"X-Request-ID": "the-one-in-the-log"}, path="/v1/detections?tags=password:hunter2")
    assert response.status == 200
    time.sleep(0.2)
    output = server.output.read_text()
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    (line,) = [line for line in lines if line.get("request_id") == "the-one-in-the-log"]
    assert (line["route"], line["status"], line["provider"], line["detections"]) == ("/v1/detections", 200, "local", 1)
    assert ADMIN not in output
    assert "hunter2" not in output


def test_what_is_no_http_is_one_line_of_the_log(server):
    assert raw_answer(server, b"hello\r\n\r\n").startswith(b"HTTP/1.1 400")
    until(lambda: "request line: 'hello'" in server.output.read_text())
    output = server.output.read_text()
    (line,) = [line for line in output.splitlines() if "request line: 'hello'" in line]
    assert json.loads(line)["logger"] == "gunicorn.error"
    assert "Traceback" not in output


def test_sigterm_finishes_what_runs_and_ends_with_zero(tmp_path):
    amazon = rekognition.StandIn(Behaviour(latency_ms_p50=1_500.0, latency_ms_p95=1_501.0))
    with running(tmp_path, "serve", GATEWAY_PROVIDERS="rekognition", **amazon.environ) as server:
        server.wait_until_ready()
        statuses = []

        def ask():
            statuses.append(post(server, path="/v1/detections?cache=off&deadline_ms=60000")[0].status)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        until(lambda: len(amazon.received) >= 8, within_s=30)
        assert server.stop(signal.SIGTERM, within_s=60) == 0
        for thread in threads:
            thread.join()
    assert statuses == [200] * 8
    assert amazon.bill.units() == {"DetectLabels": 8}
    amazon.close()


def test_wrong_settings_are_told_all_at_once_and_nothing_starts(tmp_path):
    with running(tmp_path, "serve", GATEWAY_BUGDET="5", GATEWAY_CACHE_TTL_S="1d") as server:
        assert server.process.wait(30) == 1
        told = server.output.read_text()
    assert "GATEWAY_BUGDET: no such setting" in told
    assert "GATEWAY_CACHE_TTL_S: '1d' is no whole number" in told
    assert "Traceback" not in told


def test_a_database_that_can_not_be_opened_is_told_without_its_password(tmp_path):
    with running(tmp_path, "serve", GATEWAY_DATABASE_URL="postgresql+psycopg://me:hunter2@127.0.0.1:1/x?connect_timeout=2") as server:
        assert server.process.wait(30) == 1
        told = server.output.read_text()
    assert "can't be used" in told
    assert "hunter2" not in told
    assert "Traceback" not in told


def test_the_admin_key_of_the_first_start_is_printed_once(tmp_path):
    with running(tmp_path, "serve", GATEWAY_ADMIN_KEY="") as server:
        server.wait_until_ready()
        token = re.search(r"vg_\S+", server.output.read_text()).group()
        assert post(server, headers={"Authorization": f"Bearer {token}"})[0].status == 200
    with running(tmp_path, "serve", GATEWAY_ADMIN_KEY="") as server:
        server.wait_until_ready()
        assert "vg_" not in server.output.read_text()
        assert post(server, headers={"Authorization": f"Bearer {token}"})[0].status == 200
