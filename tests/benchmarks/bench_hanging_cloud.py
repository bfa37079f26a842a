"""A cloud that hangs: when do requests to it end, and what do requests to others feel of it? One run, one server, real sockets.

python -m tests.benchmarks.bench_hanging_cloud
"""

import http.client
import statistics
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.clouds import rekognition
from tests.processes import ADMIN, Running, running

PHOTO = (Path(__file__).parent.parent / "photos" / "000000000471.jpg").read_bytes()
REQUESTS = 200
CALLERS = 8
DEADLINE_MS = 800


def main() -> None:
    amazon = rekognition.StandIn()
    environ = amazon.environ | {"GATEWAY_PROVIDERS": "rekognition,local", "GATEWAY_CACHE_TTL_S": "0"}
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), "serve", **environ) as server:
        server.wait_until_ready()
        ask_all(server, "local", 20, 1)
        alone = ask_all(server, "local", REQUESTS // 4, 1)
        amazon.conduct.change(fault="hang")
        hanging: list[float] = []
        asker = threading.Thread(target=lambda: hanging.extend(ask_all(server, "rekognition", REQUESTS, CALLERS)))
        asker.start()
        time.sleep(0.3)
        beside = ask_all(server, "local", REQUESTS // 4, 1)
        asker.join()
    amazon.close()
    print(f"deadline {DEADLINE_MS} ms, {REQUESTS} requests to a cloud that hangs, {CALLERS} at a time:")
    print(f"  end after p50 {quantile(hanging, 0.5):.0f}  p99 {quantile(hanging, 0.99):.0f}  max {max(hanging):.0f} ms")
    print(f"requests to the in-house model, p50: alone {quantile(alone, 0.5):.0f} ms, beside them {quantile(beside, 0.5):.0f} ms")
    print(f"  ratio {statistics.median(beside) / statistics.median(alone):.2f}")


def ask_all(server: Running, provider: str, count: int, callers: int) -> list[float]:
    """Milliseconds of each request, as its client sees them."""

    def ask(_nth: int) -> float:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        started = time.monotonic()
        path = f"/v1/detections?providers={provider}&deadline_ms={DEADLINE_MS if provider == 'rekognition' else 10_000}"
        connection.request("POST", path, PHOTO, {"Authorization": f"Bearer {ADMIN}", "Content-Type": "image/jpeg"})
        connection.getresponse().read()
        took_ms = (time.monotonic() - started) * 1000
        connection.close()
        return took_ms

    with ThreadPoolExecutor(callers) as pool:
        return list(pool.map(ask, range(count)))


def quantile(values: list[float], fraction: float) -> float:
    return sorted(values)[min(int(fraction * len(values)), len(values) - 1)]


if __name__ == "__main__":
    main()
