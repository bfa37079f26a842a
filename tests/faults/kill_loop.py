"""Callers that are killed at random moments, and a provider that keeps its own bill.

    python -m tests.faults.kill_loop URL FOLDER ROUNDS SEED

The provider is a process that nobody kills: it notes each call on disk before it answers, refuses some without noting them, and hangs up on
some that it noted. Its bill is the judge.
"""

import os
import random
import selectors
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from cost.database import open_database
from cost.ledger import BudgetExhausted, Ledger, LedgerUnavailable
from tests.cost.sheets import BOOK, hold
from tests.waiting import until

WORKERS, THREADS = 2, 8


def serve(address, bill):
    """The provider: one line `attempt_id` a billed call, fsynced before its answer."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(address))
    listener.listen(256)
    waiting = selectors.DefaultSelector()
    waiting.register(listener, selectors.EVENT_READ)
    rng = random.Random(0)
    with bill.open("ab") as file:
        while True:
            answers = []
            for key, _ in waiting.select():
                if key.fileobj is listener:
                    waiting.register(listener.accept()[0], selectors.EVENT_READ)
                    continue
                waiting.unregister(key.fileobj)
                asked = key.fileobj.recv(64)
                luck = rng.random()
                if len(asked) == 33 and luck > 0.1:
                    file.write(asked)
                    answers.append((key.fileobj, b"" if luck > 0.9 else b"found"))
                else:
                    answers.append((key.fileobj, b"refused"))
            file.flush()
            os.fsync(file.fileno())
            for connection, answer in answers:
                with suppress(OSError):  # It may have been killed meanwhile.
                    connection.sendall(answer)
                connection.close()


def ask(address, attempt_id):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(address))
        connection.sendall(f"{attempt_id}\n".encode())
        return connection.recv(64)


def call_for_ever(ledger, address):
    while True:
        try:
            attempt_id = ledger.reserve(hold(timeout_s=60.0), wait_s=30).attempt_id
        except (BudgetExhausted, LedgerUnavailable):
            time.sleep(0.01)
            continue
        answer = ask(address, attempt_id)
        if answer == b"found":
            ledger.settle(attempt_id)
        elif answer == b"refused":
            ledger.release(attempt_id, outcome="refused")
        else:
            ledger.unknown(attempt_id, outcome="failed")


def work(url, folder):
    ledger = Ledger(open_database(url), BOOK, spool=folder / "spool", tick_s=0.1)
    threads = [threading.Thread(target=call_for_ever, args=(ledger, folder / "provider")) for _ in range(THREADS)]
    for thread in threads:
        thread.start()


def wait_for_load(bill):
    """Until this round's callers call; a machine may be slow to start them."""
    size, deadline = bill.stat().st_size, time.monotonic() + 30
    while bill.stat().st_size < size + 330 and time.monotonic() < deadline:
        time.sleep(0.005)


def forked(target, *args):
    """A child that never comes back; this process has no threads and no connections for it to inherit."""
    child = os.fork()
    if child == 0:
        target(*args)
        threading.Event().wait()
    return child


def main(url, folder, rounds, seed):
    rng = random.Random(seed)
    provider = forked(serve, folder / "provider", folder / "bill")
    children = [provider]
    try:
        until(lambda: (folder / "provider").exists() and (folder / "bill").exists())
        for _ in range(rounds):
            workers = [forked(work, url, folder) for _ in range(WORKERS)]
            children += workers
            wait_for_load(folder / "bill")
            time.sleep(rng.uniform(0.0, 0.4))
            for worker in workers:
                os.kill(worker, signal.SIGKILL)
            for worker in workers:
                os.waitpid(worker, 0)
                children.remove(worker)
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
