"""What a client sees that need not wait for a core of its own: `python -m tests.benchmarks.probe ADDRESS FILE SECONDS`.

On a busy machine a client's own clock tells of its own waits, too. The kernel runs these few first (SCHED_FIFO, where we have the right),
so that what they measure is the server. The file is a whole request; it is sent again and again. Milliseconds from before its first byte is
sent until its answer is read, as JSON by status.
"""

import json
import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from tests.benchmarks.load import Client

CLIENTS, EVERY_S = 4, 0.05


def main():
    address, file, seconds = sys.argv[1:]
    request, took = Path(file).read_bytes(), {}
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    stop = time.monotonic() + float(seconds)

    def ask():
        client = Client(address)
        while time.monotonic() < stop:
            began = time.monotonic()
            status, _ = client.send(request)
            took.setdefault(status, []).append((time.monotonic() - began) * 1000)
            time.sleep(EVERY_S)
        client.close()

    threads = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    json.dump(took, sys.stdout)


if __name__ == "__main__":
    main()
