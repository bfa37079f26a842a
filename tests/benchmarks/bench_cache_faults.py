"""What requests feel of a Redis that is killed, frozen, full, read-only, locked or slow: how much longer they take than before it was.

python -m tests.benchmarks.bench_cache_faults
"""

import statistics
import tempfile
from itertools import count
from pathlib import Path

from tests.clouds import rekognition
from tests.clouds.proxy import Proxy
from tests.gateway.cache.servers import Caller, Server
from tests.gateway.cache.test_faults import FAULTS, is_back
from tests.gateway.toys import jpeg
from tests.processes import running

REQUESTS = 40


def main() -> None:
    amazon = rekognition.StandIn()
    pictures = (jpeg(100 + nth, 80, nth % 250) for nth in count())
    with tempfile.TemporaryDirectory() as folder:
        valkey = Server(Path(folder))
        with Proxy(valkey.port, "") as proxy:
            environ = amazon.environ | {"GATEWAY_PROVIDERS": "rekognition", "GATEWAY_REDIS_URL": f"redis://127.0.0.1:{proxy.port}"}
            with running(Path(folder), "serve", **environ) as server:
                caller = Caller(server.wait_until_ready())
                ask_all(caller, pictures)
                print(f"{REQUESTS} requests for new pictures, one after another; added to the median of as many before the fault, in ms:")
                print(f"{'Redis is':<20}{'failed':>7}{'median':>9}{'third longest':>15}{'longest':>9}")
                for name, (begin, end) in FAULTS.items():
                    report(name, caller, pictures, lambda begin=begin: begin(valkey, proxy), lambda end=end: end(valkey, proxy))
        valkey.close()
    amazon.close()


def report(name, caller, pictures, begin, end) -> None:
    before = statistics.median(took for _, took in ask_all(caller, pictures))
    begin()
    try:
        answers = ask_all(caller, pictures)
    finally:
        end()
    caller.wait_for("/readyz", is_back)
    added = sorted(took - before for _, took in answers)
    failed = sum(status != 200 for status, _ in answers)
    print(f"{name:<20}{failed:>7}{statistics.median(added):>9.1f}{added[-3]:>15.1f}{added[-1]:>9.1f}")


def ask_all(caller, pictures):
    return [(status, took_ms) for status, _, took_ms in (caller.post(next(pictures)) for _ in range(REQUESTS))]


if __name__ == "__main__":
    main()
