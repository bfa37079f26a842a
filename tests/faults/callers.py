"""One process of callers: `python -m tests.faults.callers URL SPOOL THREADS CALLS SEED`. Prints how often each kind of call was refused."""

import json
import random
import sys
import threading
from collections import Counter
from pathlib import Path

from cost.database import open_database
from cost.ledger import BudgetExhausted, Hold, Ledger
from tests.faults.prices import BOOK


def wanted(rng):
    """A call of one of eight kinds."""
    return {
        "provider": rng.choice(["falling", "rising"]),
        "usage": {"SKU": rng.choice([1, 1, 1, 2, 3])},
        "client": rng.choice(["shop", "web"]),
        "tags": rng.choice([{}, {"campaign": "spring"}]),
    }


def call(ledger, kind, rng):
    """Make it; what the provider does is a matter of luck."""
    hold = Hold(**kind, request_id=f"{rng.random()}", features=frozenset({"objects"}), timeout_s=300.0)
    reservation = ledger.reserve(hold, wait_s=120)
    luck = rng.random()
    if luck < 0.8:
        ledger.settle(reservation.attempt_id, wait_s=120)
    elif luck < 0.9:
        ledger.release(reservation.attempt_id, outcome="refused", wait_s=120)
    else:
        ledger.unknown(reservation.attempt_id, outcome="timeout", wait_s=120)


def main(url, spool, threads, calls, seed):
    engine = open_database(url)
    ledger = Ledger(engine, BOOK, spool=Path(spool))
    refused = Counter()

    def work(number):
        rng = random.Random(f"{seed}-{number}")
        for _ in range(calls):
            kind = wanted(rng)
            try:
                call(ledger, kind, rng)
            except BudgetExhausted:
                refused[json.dumps(kind)] += 1

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    ledger.close()
    engine.dispose()
    json.dump(refused, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
