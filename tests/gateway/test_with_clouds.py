"""The whole gateway before the stand-ins of both clouds: what clients get, what is billed, and what the ledger says of it."""

import concurrent.futures
import io
import json
import subprocess
import sys
import threading
import time

import PIL.Image
import pytest

from providers import local
from tests.clouds.behaviour import Behaviour
from tests.clouds.pair import two_clouds
from tests.conftest import PHOTOS
from tests.gateway.apps import app_of
from tests.gateway.toys import jpeg
from tests.processes import ADMIN, ROOT, clean_environ
from tests.waiting import until

PHOTO = (PHOTOS / "000000000471.jpg").read_bytes()


@pytest.fixture(scope="module")
def clouds():
    with two_clouds() as clouds:
        yield clouds


@pytest.fixture
def amazon(clouds):
    clouds[0].conduct.now = Behaviour()
    clouds[0].bill.clear()
    return clouds[0]


@pytest.fixture
def google(clouds):
    clouds[1].conduct.now = Behaviour()
    clouds[1].bill.clear()
    return clouds[1]


class Gateway:
    """A gateway of its own ledger, and the words that tests use of it."""

    def __init__(self, folder, amazon, google, providers, model_url):
        self.app = app_of(folder, GATEWAY_LOCAL_MODEL_URL=model_url, GATEWAY_PROVIDERS=providers, **amazon.environ, **google.environ)
        self.parts = self.app.extensions["gateway"]

    def call(self, method, address, **more):
        headers = {"Authorization": f"Bearer {ADMIN}"} | more.pop("headers", {})
        return self.app.test_client().open(address, method=method, headers=headers, **more)

    def detect(self, query="", content=PHOTO, **headers):
        return self.call("POST", f"/v1/detections{query}", data=content, content_type="image/jpeg", headers=headers)

    def budget(self, limit_usd, **more):
        response = self.call("PUT", "/v1/budgets/all", json={"limit_usd": limit_usd, "period": "day", **more})
        assert response.status_code == 200, response.text

    def total(self):
        return self.call("GET", "/v1/costs").json["total"]


@pytest.fixture
def gateway_of(tmp_path, amazon, google, model_url):
    made = []

    def make(providers):
        made.append(Gateway(tmp_path, amazon, google, providers, model_url))
        return made[-1]

    yield make
    for gateway in made:
        gateway.parts.close()


@pytest.fixture(scope="module")
def model_url(tmp_path_factory):
    """One model server for all gateways here, as in production: loading the model once is enough."""
    socket = tmp_path_factory.mktemp("model") / "model.sock"
    server = subprocess.Popen([sys.executable, "-m", "local_model", "--bind", f"unix:{socket}"], cwd=ROOT, env=clean_environ())
    provider = local.build({"GATEWAY_LOCAL_MODEL_URL": f"unix:{socket}"})
    until(lambda: provider.health().ready)
    provider.close()
    yield f"unix:{socket}"
    server.terminate()
    server.wait(30)


@pytest.fixture
def gateway(gateway_of):
    """Amazon first, Google next, the in-house model last."""
    return gateway_of("rekognition,google_vision,local")


def attempts(response):
    return [(attempt["provider"], attempt["outcome"], attempt["cost_usd"]) for attempt in response.json["attempts"]]


def test_a_paid_answer_is_billed_once_and_the_ledger_says_the_same(gateway, amazon):
    response = gateway.detect("?tags=team:shop")
    answer = response.json
    assert (answer["provider"], answer["cost_usd"], answer["degraded"]) == ("rekognition", "0.001", False)
    assert (answer["detections"][0]["label"], answer["detections"][0]["provider_label"]) == ("bus", "Bus")
    assert response.headers["X-Cost-USD"] == "0.001"
    assert amazon.bill.units() == {"DetectLabels": 1}
    rows = gateway.call("GET", "/v1/costs?group_by=provider,sku,tag:team").json["rows"]
    assert [(row["provider"], row["sku"], row["tag:team"], row["cost_usd"], row["billed_units"]) for row in rows] == [
        ("rekognition", "DetectLabels", "shop", "0.001", 1)
    ]


def test_objects_and_labels_are_one_billed_call_and_faces_another(gateway, amazon):
    response = gateway.detect("?features=objects,labels,faces&providers=rekognition")
    answer = response.json
    assert response.status_code == 200, response.text
    assert amazon.bill.units() == {"DetectLabels": 1, "DetectFaces": 1}
    assert answer["cost_usd"] == "0.002"
    assert len(answer["attempts"]) == 2
    assert {found["feature"] for found in answer["detections"]} >= {"objects", "labels"}


def test_google_bills_each_feature_and_its_first_thousand_units_are_free(gateway, google):
    answer = gateway.detect("?features=objects,labels&providers=google_vision").json
    assert google.bill.units() == {"OBJECT_LOCALIZATION": 1, "LABEL_DETECTION": 1}
    assert answer["cost_usd"] == "0"
    prices = next(one for one in gateway.call("GET", "/v1/providers").json["providers"] if one["name"] == "google_vision")["prices"]
    left = {price["sku"]: price["free_units_left"] for price in prices}
    assert (left["OBJECT_LOCALIZATION"], left["LABEL_DETECTION"], left["FACE_DETECTION"]) == (999, 999, 1000)


def test_a_request_that_may_cost_too_little_is_not_sent_anywhere(gateway, amazon, google):
    response = gateway.detect("?max_cost_usd=0.0009&providers=rekognition")
    assert (response.status_code, response.json["code"]) == (402, "over_max_cost")
    assert response.json["providers"] == {"rekognition": "over_max_cost"}
    cheap = gateway.detect("?max_cost_usd=0.0009&providers=rekognition,local").json
    assert (cheap["provider"], cheap["cost_usd"], cheap["degraded"]) == ("local", "0", True)
    assert amazon.bill.requests == {}


def test_the_ceiling_holds_over_all_attempts_together(gateway, amazon):
    amazon.conduct.change(fault="InternalServerError")
    answer = gateway.detect("?features=labels&max_cost_usd=0.0015&providers=rekognition,google_vision", **{"X-Request-ID": "r"})
    assert attempts(answer)[0] == ("rekognition", "failed", "0.001"), "may have been billed: it counts"
    assert answer.json["cost_usd"] == "0.001"


def test_a_budget_that_degrades_lets_the_in_house_model_answer(gateway, amazon):
    gateway.budget("0.0025")
    answers = [gateway.detect("?providers=rekognition,local").json for _ in range(4)]
    assert [answer["provider"] for answer in answers] == ["rekognition", "rekognition", "local", "local"]
    assert [answer["degraded"] for answer in answers] == [False, False, True, True]
    assert answers[-1]["routing"]["considered"][0]["decision"] == "skipped"
    assert answers[-1]["routing"]["considered"][0]["reason"].startswith("budget_exhausted: budget all: settled 0.002 +")
    assert amazon.bill.units() == {"DetectLabels": 2}


def test_a_budget_that_rejects_says_its_arithmetic(gateway, amazon):
    gateway.budget("0.001", when_exhausted="reject")
    assert gateway.detect().status_code == 200
    response = gateway.detect()
    problem = response.json
    assert (response.status_code, problem["code"], problem["budget"]) == (402, "budget_exhausted", "all")
    amounts = (problem["limit_usd"], problem["settled_usd"], problem["reserved_usd"], problem["unknown_usd"], problem["needed_usd"])
    assert amounts == ("0.001", "0.001", "0", "0", "0.001")
    assert problem["resets_at"] == problem["window"]["ends_at"]
    assert amazon.bill.units() == {"DetectLabels": 1}


def test_two_hundred_at_once_with_money_for_fifty_bill_exactly_fifty(gateway, amazon):
    gateway.budget("0.05", when_exhausted="reject")
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(lambda _: gateway.detect("?providers=rekognition&deadline_ms=20000").status_code, range(200)))
    assert (statuses.count(200), statuses.count(402)) == (50, 150)
    assert amazon.bill.units() == {"DetectLabels": 50}
    assert gateway.total()["cost_usd"] == "0.05"


@pytest.mark.parametrize(
    ("fault", "outcome", "cost", "requests"),
    [
        ("InternalServerError", "failed", "0.001", 1),
        ("ThrottlingException", "throttled", "0", 2),
        ("ThrottlingException500", "throttled", "0", 2),
        ("AccessDeniedException", "misconfigured", "0", 1),
        ("InvalidImageFormatException", "image_refused", "0", 1),
        ("truncated", "protocol_error", "0.001", 1),
        ("html", "protocol_error", "0.001", 1),
        ("reset", "failed", "0.001", 1),
    ],
)
def test_a_failure_is_counted_as_it_may_have_been_billed_and_the_next_provider_answers(gateway, amazon, fault, outcome, cost, requests):
    amazon.conduct.change(fault=fault)
    response = gateway.detect("?providers=rekognition,local")
    assert response.json["provider"] == "local"
    assert attempts(response)[0] == ("rekognition", outcome, cost)
    assert sum(amazon.bill.requests.values()) == requests, "a retry is the gateway's own, and there is at most one"
    total = gateway.total()
    assert (total["cost_usd"], total["unknown_usd"], total["reserved_usd"]) == ("0", cost, "0")


def test_a_cloud_that_hangs_holds_nobody_beyond_the_deadline(gateway, amazon):
    gateway.detect("?providers=local")
    amazon.conduct.change(fault="hang")

    def ask(query):
        started = time.monotonic()
        response = gateway.detect(query)
        return response.status_code, time.monotonic() - started

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        hanging = [pool.submit(ask, "?providers=rekognition&deadline_ms=800") for _ in range(60)]
        beside = [pool.submit(ask, "?providers=local&deadline_ms=60000") for _ in range(20)]
    assert {one.result()[0] for one in hanging} <= {503, 504}
    assert max(one.result()[1] for one in hanging) < 4, "late by a busy machine at most; the calls themselves go on for 5 s more"
    assert {one.result()[0] for one in beside} == {200}


def test_a_late_answer_is_settled_though_its_client_got_another(gateway, amazon):
    for _ in range(5):  # until it is known how long either usually takes
        gateway.detect("?providers=local&cache=off")
        gateway.detect("?providers=rekognition&cache=off")
    before = gateway.total()["cost_usd"]
    amazon.conduct.change(latency_ms_p50=4_000.0, latency_ms_p95=4_001.0)
    answer = gateway.detect("?providers=rekognition,local&cache=off&deadline_ms=60000")
    assert (answer.json["provider"], answer.json["degraded"]) == ("local", True)
    assert attempts(answer)[0] == ("rekognition", "late", "0.001")
    until(lambda: gateway.total()["cost_usd"] != before, within_s=30)
    total = gateway.total()
    assert (before, total["cost_usd"], total["reserved_usd"], total["unknown_usd"]) == ("0.005", "0.006", "0", "0")


def test_a_repeated_request_gets_the_same_answer_and_is_charged_once(gateway, amazon):
    first = gateway.detect(**{"Idempotency-Key": "order-4711"})
    again = gateway.detect(**{"Idempotency-Key": "order-4711"})
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (again.status_code, again.text) == (first.status_code, first.text)
    assert "Idempotent-Replayed" not in first.headers
    assert amazon.bill.units() == {"DetectLabels": 1}


@pytest.mark.parametrize("change", [{"query": "?max_results=1"}, {"content": jpeg(100, 100)}], ids=["options", "picture"])
def test_the_key_of_another_request_is_refused(gateway, amazon, change):
    gateway.detect(**{"Idempotency-Key": "order-4711"})
    other = gateway.detect(**change, **{"Idempotency-Key": "order-4711"})
    assert (other.status_code, other.json["code"]) == (422, "idempotency_mismatch")
    assert amazon.bill.units() == {"DetectLabels": 1}


def test_fifty_repeats_at_once_are_one_call(gateway, amazon):
    amazon.conduct.change(latency_ms_p50=300.0, latency_ms_p95=301.0)
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        responses = list(pool.map(lambda _: gateway.detect("?deadline_ms=20000", **{"Idempotency-Key": "k"}), range(50)))
    assert {response.status_code for response in responses} <= {200, 409}
    assert {response.headers["Retry-After"] for response in responses if response.status_code == 409} <= {"1", "2"}
    assert len({response.text for response in responses if response.status_code == 200}) == 1
    assert amazon.bill.units() == {"DetectLabels": 1}


def test_a_key_whose_request_cost_nothing_may_be_tried_again(gateway, amazon):
    gateway.budget("0", when_exhausted="reject")
    assert gateway.detect(**{"Idempotency-Key": "k"}).status_code == 402
    gateway.budget("1", when_exhausted="reject")
    assert gateway.detect(**{"Idempotency-Key": "k"}).status_code == 200


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "né"])
def test_an_idempotency_key_is_visible_ascii(gateway, key):
    response = gateway.detect(**{"Idempotency-Key": key.encode().decode("latin-1")})
    assert (response.status_code, response.json["parameter"]) == (422, "Idempotency-Key")


def test_without_a_ledger_nothing_is_paid_and_the_in_house_model_still_answers(gateway, amazon):
    assert gateway.detect().json["provider"] == "rekognition"
    holder = gateway.parts.database.raw_connection()
    holder.cursor().execute("BEGIN EXCLUSIVE")
    try:
        before = sum(amazon.bill.units().values())
        answers = [gateway.detect("?deadline_ms=8000").json for _ in range(3)]
        assert [answer["provider"] for answer in answers] == ["local"] * 3
        assert all(answer["degraded"] for answer in answers)
        refused = gateway.detect("?providers=rekognition")
        assert (refused.status_code, refused.json["code"]) == (503, "ledger_unavailable")
        readiness = gateway.call("GET", "/readyz").json
        assert readiness["status"] == "degraded"
        assert readiness["dependencies"]["ledger"]["ready"] is False
        assert sum(amazon.bill.units().values()) == before, "not a call was made that could not be recorded"
    finally:
        holder.cursor().execute("ROLLBACK")
        holder.close()
    until(lambda: gateway.detect().json["provider"] == "rekognition", within_s=15)
    assert gateway.detect().json["provider"] == "rekognition", "and it comes back by itself"


def test_in_house_answers_are_usage_and_what_they_saved_stands_apart(gateway):
    assert gateway.detect("?providers=rekognition,local&strategy=cheapest").json["provider"] == "local"
    until(lambda: gateway.total()["avoided_usd"] != "0", within_s=5)
    total = gateway.total()
    assert (total["cost_usd"], total["avoided_usd"]) == ("0", "0.001")


def test_a_picture_that_a_cloud_is_too_small_for_is_not_sent_there(gateway, amazon):
    answer = gateway.detect("?providers=rekognition,local", content=jpeg(79, 200)).json
    assert answer["provider"] == "local"
    assert "80" in next(one["reason"] for one in answer["routing"]["considered"] if one["provider"] == "rekognition")
    assert amazon.bill.requests == {}


def test_where_a_picture_was_taken_never_leaves_the_gateway(gateway, amazon):
    exif = PIL.Image.Exif()
    exif[0x010E] = "SECRET-PLACE"
    out = io.BytesIO()
    PIL.Image.open(io.BytesIO(PHOTO)).save(out, "JPEG", exif=exif, comment=b"SECRET-PLACE")
    assert b"SECRET-PLACE" in out.getvalue()
    gateway.detect("?providers=rekognition", content=out.getvalue())
    assert amazon.received
    assert b"SECRET-PLACE" not in json.dumps(amazon.received, default=repr).encode()


def test_stopping_lets_a_paid_call_settle(gateway_of, amazon):
    gateway = gateway_of("rekognition")
    amazon.conduct.change(latency_ms_p50=500.0, latency_ms_p95=501.0)
    caller = threading.Thread(target=lambda: gateway.detect("?deadline_ms=60000"))
    seen_before = len(amazon.received)
    caller.start()
    until(lambda: len(amazon.received) > seen_before)
    gateway.parts.close()
    caller.join()
    assert gateway_of("rekognition").total()["cost_usd"] == "0.001"
