"""What counting costs a request: every number that one answered picture writes, kept in files as under several workers, and added up as
often as at 1,000 requests a second.

    python -m tests.benchmarks.bench_metrics

Prints CPU microseconds a request, the best of interleaved rounds, beside an empty round.
"""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cost.money import FREE
from gateway.monitoring import counting
from gateway.monitoring.folder import NumbersFolder
from gateway.monitoring.stages import stage
from gateway.monitoring.traffic import note_answer, note_attempts, note_request
from gateway.outcome import Attempt

_ROUNDS, _REQUESTS = 20, 500
_ADDED_UP_EVERY = int(1_000 * counting.EVERY_S)
_STAGES = ("read", "look", "choose", "reserve", "detect", "settle", "write")


def main() -> None:
    """Measure."""
    with tempfile.TemporaryDirectory() as parent:
        NumbersFolder(Path(parent))
        attempt = Attempt("rekognition", ("objects",), "answered", FREE, 80.0)

        def counted() -> None:
            for name in _STAGES:
                with stage(name):
                    pass
            note_answer("rekognition", "miss")
            note_attempts((attempt,))
            note_request("POST", "/v1/detections", 200, 0.1)

        def nothing() -> None:
            for _name in _STAGES:
                pass

        counted()
        best = {"counted": float("inf"), "nothing": float("inf")}
        for _ in range(_ROUNDS):
            for name, work in (("counted", counted), ("nothing", nothing)):
                best[name] = min(best[name], _cpu_us(work))
    print(json.dumps({"cpu_us_a_request": round(best["counted"] - best["nothing"], 1), "writes": len(_STAGES) + 5}))


def _cpu_us(work: Callable[[], None]) -> float:
    began = time.process_time()
    for nth in range(_REQUESTS):
        work()
        if nth % _ADDED_UP_EVERY == 0:
            counting.add_up()
    return (time.process_time() - began) / _REQUESTS * 1e6


if __name__ == "__main__":
    main()
