import random
import threading

import pytest

from cost.money import FREE, Money
from gateway.batches import _AT_A_TIME, BatchThreads, Purse


@pytest.fixture
def threads():
    threads = BatchThreads(32)
    yield threads
    threads.close()


def test_no_more_than_eight_of_one_batch_run_at_a_time_and_all_are_done(threads):
    running, most, lock = 0, 0, threading.Lock()
    full = threading.Barrier(_AT_A_TIME)

    def work(item: int) -> bytes:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        full.wait(30)  # only as many as there may be at a time get past
        with lock:
            running -= 1
        return b"%d" % item

    done = sorted(int(line) for line in threads.run(range(64), work))
    assert done == list(range(64))
    assert most == _AT_A_TIME


def test_an_answer_is_told_while_others_still_run(threads):
    let_go = threading.Event()

    def work(item: int) -> bytes:
        if item == 0:
            let_go.wait(30)
        return b"%d" % item

    results = threads.run(range(3), work)
    assert {next(results), next(results)} == {b"1", b"2"}
    let_go.set()
    assert next(results) == b"0"


def test_who_stops_listening_stops_the_rest_from_being_begun(threads):
    begun = []
    results = threads.run(range(64), lambda item: begun.append(item) or b"")
    next(results)
    results.close()
    threads.close()
    assert len(begun) <= _AT_A_TIME + 1


def test_a_purse_never_gives_more_than_it_has_and_what_is_left_over_goes_to_the_others():
    purse = Purse(Money(5_500), 10)
    spent = 0
    for _ in range(10):
        share = purse.take()
        pays = Money(1_000) if share >= Money(1_000) else FREE
        spent += pays.nanos
        purse.give_back(share, pays)
    assert spent == 5_000


def test_where_the_limit_is_short_as_many_as_it_pays_for_are_paid_though_all_begin_at_once():
    purse = Purse(Money(5_500), 12)
    shares = [purse.take(Money(1_000)) for _ in range(12)]
    assert [share.nanos for share in shares] == [1_000] * 5 + [500] + [0] * 6


def test_shares_that_are_out_at_the_same_time_are_never_more_than_the_limit():
    chance = random.Random(7)
    for _ in range(200):
        limit, items = chance.randrange(1, 10_000), chance.randrange(1, 65)
        purse, out, spent = Purse(Money(limit), items), [], 0
        for _ in range(items):
            out.append(purse.take())
            assert spent + sum(share.nanos for share in out) <= limit
            if chance.random() < 0.5:
                share = out.pop(chance.randrange(len(out)))
                used = Money(chance.randrange(share.nanos + 1))
                spent += used.nanos
                purse.give_back(share, used)
