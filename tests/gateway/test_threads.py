import threading

import pytest

from gateway.threads import CallThreads
from providers.errors import ProviderOverloaded


def test_the_call_after_the_last_thread_is_refused_at_once_and_nothing_queues():
    threads, release, ran = CallThreads("aws", 2), threading.Event(), []

    def work():
        ran.append(1)
        release.wait(5)

    for _ in range(2):
        threads.take()
        threads.run(work)
    with pytest.raises(ProviderOverloaded):
        threads.take()
    release.set()
    threads.close()
    assert len(ran) == 2


def test_a_place_that_is_given_back_is_free():
    threads = CallThreads("aws", 1)
    threads.take()
    threads.give_back()
    threads.take()
    with pytest.raises(ProviderOverloaded):
        threads.take()


def test_a_call_that_ended_makes_room_even_when_it_raised():
    threads, done = CallThreads("aws", 1), threading.Semaphore(0)

    def work():
        done.release()
        raise ValueError

    for _ in range(3):
        while True:
            try:
                threads.take()
                break
            except ProviderOverloaded:
                pass
        threads.run(work)
        assert done.acquire(timeout=5)
    threads.close()


def test_closing_waits_for_what_runs_and_then_refuses():
    threads, ended = CallThreads("aws", 1), []
    threads.take()
    threads.run(lambda: ended.append(threading.Event().wait(0.2)))
    threads.close()
    assert ended == [False]
    threads.take()
    with pytest.raises(ProviderOverloaded):
        threads.run(lambda: None)
    threads.take()
    threads.give_back()
