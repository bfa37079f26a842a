"""How soon a change is alarmed, and whether what has not changed ever is: photographs of `../shared/coco128` in random order.

    python -m tests.benchmarks.bench_drift [PICTURES]

Looks after every 25 pictures, as when five come a second. `after`: pictures of the change until its first alarm.
"""

import json
import sys
from itertools import islice

from gateway.monitoring.drift import REFERENCE, WINDOWS, is_alarming, shifts
from tests.gateway.monitoring.streams import stream

_EVERY = 25
_CHANGES = {
    "day to night": {"at_night": True},
    "one label renamed": {"renamed": lambda label: {"person": "human"}.get(label, label)},
    "confidences x 0.8": {"confidence": 0.8},
    "nothing": {},
}


def main() -> None:
    """Measure."""
    pictures = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
    reference = list(islice(stream(1), REFERENCE))
    told = {}
    for name, change in _CHANGES.items():
        latest, after = list(islice(stream(2), max(WINDOWS))), {}
        for n, seen in enumerate(islice(stream(3, **change), pictures), 1):
            latest = [*latest, seen][-max(WINDOWS) :]
            if n % _EVERY == 0:
                for shift in shifts(reference, latest):
                    if is_alarming(shift):
                        after.setdefault(shift.name, n)
        told[name] = {"pictures": pictures, "after": after}
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
