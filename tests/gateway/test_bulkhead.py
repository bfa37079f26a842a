import threading

import pytest

from gateway.bulkhead import Bulkhead
from providers.errors import ProviderOverloaded


def test_the_call_after_the_last_thread_is_refused_at_once_and_nothing_queues():
    bulkhead, release, ran = Bulkhead("aws", 2), threading.Event(), []

    def work():
        ran.append(1)
        release.wait(5)

    bulkhead.run(work)
    bulkhead.run(work)
    with pytest.raises(ProviderOverloaded):
        bulkhead.run(work)
    release.set()
    bulkhead.close()
    assert len(ran) == 2


def test_a_call_that_ended_makes_room_even_when_it_raised():
    bulkhead = Bulkhead("aws", 1)
    for _ in range(3):
        done = threading.Event()

        def work(done=done):
            done.set()
            raise ValueError

        while True:
            try:
                bulkhead.run(work)
                break
            except ProviderOverloaded:
                pass
        assert done.wait(5)
    bulkhead.close()


def test_closing_waits_for_what_runs_and_then_refuses():
    bulkhead, ended = Bulkhead("aws", 1), []
    bulkhead.run(lambda: ended.append(threading.Event().wait(0.2)))
    bulkhead.close()
    assert ended == [False]
    with pytest.raises(ProviderOverloaded):
        bulkhead.run(lambda: None)
