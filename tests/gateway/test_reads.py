import threading
import time

import pytest

from gateway.reads import BoundedReads, ReadTimedOut


def test_a_read_returns_or_raises_what_it_would_alone():
    reads = BoundedReads()
    assert reads.read(lambda: 7) == 7
    with pytest.raises(KeyError):
        reads.read(lambda: {}["nothing"])


def test_a_frozen_database_freezes_nobody_and_nobody_queues_behind_it():
    reads, thaw = BoundedReads(threads=2, patience_s=0.1), threading.Event()
    started = time.monotonic()
    for _ in range(6):
        with pytest.raises(ReadTimedOut):
            reads.read(lambda: thaw.wait(10))
    assert time.monotonic() - started < 8
    thaw.set()
    time.sleep(0.1)
    assert reads.read(lambda: "thawed") == "thawed"


def test_a_timeout_of_the_reads_own_is_told_as_it_is():
    def own_timeout():
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        BoundedReads().read(own_timeout)
