import threading

import pytest

from providers.once import Once


def test_many_threads_make_it_once():
    made, start = [], threading.Barrier(8)
    once = Once(lambda: made.append(object()) or made[-1])
    assert once.made is None
    found = []

    def use() -> None:
        start.wait()
        found.append(once())

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert found == made * 8
    assert once.made is made[0]


def test_what_failed_is_tried_again():
    tries = iter([OSError("not yet"), "made"])

    def make() -> str:
        outcome = next(tries)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    once = Once(make)
    with pytest.raises(OSError, match="not yet"):
        once()
    assert once() == "made"
