"""Every picture of clients shadowed by a second cloud: do clients feel it, do they pay for it, and does it stop at its own budget?

One run, one server, real sockets; rounds with and without a shadow by turns. Each picture is new, so that nothing is answered from a cache.

python -m tests.benchmarks.bench_shadow
"""

import http.client
import io
import json
import random
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path

import PIL.Image

from cost.price_files import BUILT_IN
from tests.clouds import google_vision, rekognition
from tests.clouds.behaviour import Behaviour
from tests.demo.__main__ import shared_account
from tests.processes import ADMIN, Running, running

PHOTO = Path(__file__).parent.parent / "photos" / "000000000471.jpg"
ROUNDS = 6
REQUESTS = 100
CALLERS = 2
PAUSE_S = 0.05
"""Between two requests of a caller: a gateway that is not busy, since under load shadows are what is left undone."""


def main() -> None:
    amazon = rekognition.StandIn(Behaviour(latency_ms_p50=80.0, latency_ms_p95=120.0))
    google = google_vision.StandIn(Behaviour(latency_ms_p50=80.0, latency_ms_p95=120.0))
    photo, chance = PIL.Image.open(PHOTO).convert("RGB"), random.Random(1)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as open_:
        prices = Path(folder) / "prices.toml"
        prices.write_text(shared_account((BUILT_IN / "google_vision.toml").read_text()))  # without free units: it costs something
        environ = amazon.environ | google.environ | {"GATEWAY_PROVIDERS": "rekognition,google_vision", "GATEWAY_PRICES": str(prices)}
        server = open_.enter_context(running(Path(folder), "serve", **environ))
        server.wait_until_ready()
        ask_all(server, photo, chance)
        took: dict[bool, list[list[float]]] = {False: [], True: []}
        paid: dict[bool, Decimal] = {False: Decimal(0), True: Decimal(0)}
        compared = shed = 0
        for nth in range(2 * ROUNDS):
            shadowed = bool(nth % 2)
            if shadowed:
                call(server, "POST", "/v1/experiments", shadow(f"round-{nth}", "10"))
            ms, costs = ask_all(server, photo, chance)
            took[shadowed].append(ms)
            paid[shadowed] += sum(costs)
            if shadowed:
                seen = wait_for_pictures(server, f"round-{nth}")
                compared, shed = compared + seen["pictures"], shed + seen["shed"]
                call(server, "POST", f"/v1/experiments/round-{nth}/stop")
        call(server, "POST", "/v1/experiments", shadow("small", "0.05"))
        ask_all(server, photo, chance)
        time.sleep(3)
        small = call(server, "GET", "/v1/experiments/small")
        budget = next(one for one in call(server, "GET", "/v1/budgets")["budgets"] if one["name"] == "experiment.small")
    amazon.close()
    google.close()
    print(f"{ROUNDS} rounds each of {REQUESTS} requests, {CALLERS} callers; p50 and p99 in ms, of all rounds:")
    for shadowed, name in ((False, "without"), (True, "with a shadow")):
        every = [ms for one in took[shadowed] for ms in one]
        print(f"  {name:<14} p50 {quantile(every, 0.5):.1f}  p99 {quantile(every, 0.99):.1f}  clients paid {paid[shadowed]} USD")
    alone, beside = ([ms for one in took[shadowed] for ms in one] for shadowed in (False, True))
    print(f"  ratio p50 {quantile(beside, 0.5) / quantile(alone, 0.5):.3f}, p99 {quantile(beside, 0.99) / quantile(alone, 0.99):.3f}")
    spread = [quantile(one, 0.99) for one in took[False]]
    print(f"  noise: p99 of single rounds without, {min(spread):.0f} to {max(spread):.0f}, median {statistics.median(spread):.0f}")
    print(f"  {compared} of {ROUNDS * REQUESTS} pictures compared, {shed} left out")
    print(f"a budget of {small['budget_usd']} USD: {budget['settled_usd']} settled,", small["state"], small.get("stopped_because", ""))


def shadow(name: str, budget_usd: str) -> dict[str, object]:
    arms = [{"name": "today"}, {"name": "google", "providers": ["google_vision"]}]
    return {"name": name, "mode": "shadow", "arms": arms, "budget_usd": budget_usd}


def wait_for_pictures(server: Running, name: str) -> dict:
    """Until every picture was compared or left out."""
    give_up_at = time.monotonic() + 60
    while time.monotonic() < give_up_at:
        seen = call(server, "GET", f"/v1/experiments/{name}")
        if seen["pictures"] + seen["shed"] >= REQUESTS:
            break
        time.sleep(0.2)
    return seen


def ask_all(server: Running, photo: PIL.Image.Image, chance: random.Random) -> tuple[list[float], list[Decimal]]:
    """Milliseconds and dollars of each request, as its client sees them."""
    pictures = [changed(photo, chance) for _ in range(REQUESTS)]

    def ask(picture: bytes) -> tuple[float, Decimal]:
        time.sleep(PAUSE_S)
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        started = time.monotonic()
        headers = {"Authorization": f"Bearer {ADMIN}", "Content-Type": "image/jpeg"}
        connection.request("POST", "/v1/detections?providers=rekognition", picture, headers)
        response = connection.getresponse()
        answer = json.loads(response.read())
        took_ms = (time.monotonic() - started) * 1000
        connection.close()
        assert response.status == 200, answer
        return took_ms, Decimal(answer["cost_usd"])

    with ThreadPoolExecutor(CALLERS) as pool:
        answers = list(pool.map(ask, pictures))
    return [ms for ms, _ in answers], [usd for _, usd in answers]


def changed(photo: PIL.Image.Image, chance: random.Random) -> bytes:
    """The photograph with one block of another colour: another picture."""
    one, out = photo.copy(), io.BytesIO()
    one.paste(tuple(chance.randrange(256) for _ in range(3)), (8, 8, 40, 40))
    one.save(out, "JPEG", quality=85)
    return out.getvalue()


def call(server: Running, method: str, path: str, body: dict | None = None) -> dict:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    headers = {"Authorization": f"Bearer {ADMIN}", "Content-Type": "application/json"}
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    assert response.status < 300, answer
    return answer


def quantile(values: list[float], fraction: float) -> float:
    return sorted(values)[min(int(fraction * len(values)), len(values) - 1)]


if __name__ == "__main__":
    main()
