import threading

import pytest

from gateway.threads import CallThreads
from providers.errors import ProviderOverloaded


def test_the_call_after_the_last_thread_is_refused_at_once_and_nothing_queues():
    threads, release, ran = CallThreads("aws", 2), threading.Event(), []

    def work():
        ran.append(1)
        release.wait(5)

    threads.run(work)
    threads.run(work)
    with pytest.raises(ProviderOverloaded):
        threads.run(work)
    release.set()
    threads.close()
    assert len(ran) == 2


def test_a_call_that_ended_makes_room_even_when_it_raised():
    threads = CallThreads("aws", 1)
    for _ in range(3):
        done = threading.Event()

        def work(done=done):
            done.set()
            raise ValueError

        while True:
            try:
                threads.run(work)
                break
            except ProviderOverloaded:
                pass
        assert done.wait(5)
    threads.close()


def test_closing_waits_for_what_runs_and_then_refuses():
    threads, ended = CallThreads("aws", 1), []
    threads.run(lambda: ended.append(threading.Event().wait(0.2)))
    threads.close()
    assert ended == [False]
    with pytest.raises(ProviderOverloaded):
        threads.run(lambda: None)
