import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from local_model.batching import Batcher, Closed, Expired, Overloaded
from local_model.preprocess import BadPicture, Square
from tests.waiting import until

BAD = 13


class Numbered:
    """A predictor whose answer is the picture's own number, and whose forward pass can be held."""

    def __init__(self):
        self.batches = []
        self.go = threading.Event()
        self.go.set()
        self.started = threading.Event()

    def prepare(self, picture):
        if picture.ndim != 3:
            raise BadPicture("no picture")
        return Square(picture, 1, 1)

    def forward(self, squares):
        numbers = [int(square.pixels[0, 0, 0]) for square in squares]
        self.batches.append(numbers)
        self.started.set()
        assert self.go.wait(10)
        if BAD in numbers:
            raise RuntimeError("bad item")
        return numbers

    def parted(self, raw):
        return raw

    def finish(self, found, square, machine_us):
        assert found == square.pixels[0, 0, 0]
        assert machine_us >= 0
        return found

    def ran_out_of_memory(self, error):
        return isinstance(error, MemoryError)


def picture(number):
    return np.full((2, 2, 3), number, np.uint8)


@pytest.fixture
def numbered():
    return Numbered()


@pytest.fixture(params=[(True, False), (False, False), (False, True)], ids=["ahead", "in the lanes", "elsewhere"])
def batcher(numbered, request):
    ahead, elsewhere = request.param
    made = Batcher(numbered, images_max=4, wait_ms_max=1.0, queue_max=8, ahead=ahead, elsewhere=elsewhere)
    yield made
    numbered.go.set()
    made.close()


@pytest.fixture
def threads():
    with ThreadPoolExecutor(32) as pool:
        yield pool


def held(numbered, batcher, threads, numbers, deadline=None):
    """The model is busy with picture 0, and these wait in the queue."""
    numbered.go.clear()
    numbered.started.clear()
    first = threads.submit(batcher.predict, picture(0))
    assert numbered.started.wait(10)
    waiting = []
    for number in numbers:
        waiting.append(threads.submit(batcher.predict, picture(number), deadline))
        until(lambda: len(batcher._waiting) == len(waiting))
    return first, waiting


def test_an_idle_model_starts_with_one_picture(numbered, batcher):
    assert batcher.predict(picture(7)) == 7
    assert numbered.batches == [[7]]


def test_what_came_while_the_model_was_busy_goes_as_one_full_batch(numbered, batcher, threads):
    first, waiting = held(numbered, batcher, threads, [1, 2, 3, 4, 5])
    numbered.go.set()
    assert [future.result(10) for future in [first, *waiting]] == [0, 1, 2, 3, 4, 5]
    assert numbered.batches == [[0], [1, 2, 3, 4], [5]]


def test_a_picture_that_the_model_can_not_take_fails_alone(numbered, batcher, threads):
    first, waiting = held(numbered, batcher, threads, [1, BAD, 3, 4])
    numbered.go.set()
    assert first.result(10) == 0
    assert [waiting[i].result(10) for i in (0, 2, 3)] == [1, 3, 4]
    with pytest.raises(RuntimeError, match="bad item"):
        waiting[1].result(10)
    assert batcher.counts.failed == 1


def test_what_is_no_picture_is_refused_before_it_meets_a_batch(numbered, batcher):
    with pytest.raises(BadPicture):
        batcher.predict(np.zeros(3, np.uint8))
    assert numbered.batches == []
    assert batcher.waiting == 0


def test_an_expired_picture_never_reaches_the_model(numbered, batcher, threads):
    first, [late] = held(numbered, batcher, threads, [5], deadline=time.monotonic() + 0.05)
    with pytest.raises(Expired):
        late.result(10)
    numbered.go.set()
    assert first.result(10) == 0
    assert batcher.predict(picture(6)) == 6
    assert [0] in numbered.batches
    assert all(5 not in batch for batch in numbered.batches)
    assert batcher.counts.expired == 1


def test_a_full_queue_refuses_at_once_and_goes_on_afterwards(numbered, batcher, threads):
    first, waiting = held(numbered, batcher, threads, range(1, 9))
    with pytest.raises(Overloaded, match="8 pictures wait"):
        batcher.predict(picture(9))
    assert batcher.counts.overloaded == 1
    numbered.go.set()
    assert [future.result(10) for future in [first, *waiting]] == list(range(9))
    assert batcher.predict(picture(9)) == 9


def test_closing_answers_what_waits_and_refuses_what_comes(numbered, threads):
    batcher = Batcher(numbered, images_max=2)
    first, waiting = held(numbered, batcher, threads, [1, 2, 3])
    closing = threads.submit(batcher.close)
    until(lambda: batcher._closing)
    with pytest.raises(Closed, match="shutting down"):
        batcher.predict(picture(4))
    numbered.go.set()
    closing.result(10)
    assert [future.result(10) for future in [first, *waiting]] == [0, 1, 2, 3]


def test_a_model_that_answers_too_little_is_an_error_and_not_a_wait(numbered, batcher):
    numbered.parted = lambda raw: []
    with pytest.raises(ValueError, match="shorter"):
        batcher.predict(picture(1), time.monotonic() + 10)
    del numbered.parted
    assert batcher.predict(picture(2)) == 2


def test_a_refused_picture_is_not_even_decoded(numbered, batcher, threads):
    first, waiting = held(numbered, batcher, threads, range(1, 9))
    numbered.prepare = lambda picture: pytest.fail("decoded")
    with pytest.raises(Overloaded):
        batcher.predict(picture(9))
    del numbered.prepare
    numbered.go.set()
    assert [future.result(10) for future in [first, *waiting]] == list(range(9))


def test_whether_there_is_a_place_is_told_without_a_picture(numbered, batcher, threads):
    batcher.refuse_if_full()
    first, waiting = held(numbered, batcher, threads, range(1, 9))
    with pytest.raises(Overloaded, match="8 pictures wait"):
        batcher.refuse_if_full()
    assert batcher.counts.overloaded == 1
    numbered.go.set()
    assert [future.result(10) for future in [first, *waiting]] == list(range(9))
    batcher.close()
    with pytest.raises(Closed):
        batcher.refuse_if_full()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads have no niceness of their own")
@pytest.mark.parametrize("elsewhere", [False, True])
def test_the_network_gives_way_to_what_answers_but_not_who_only_passes_pictures_on(numbered, monkeypatch, elsewhere):
    batcher = Batcher(numbered, ahead=not elsewhere, elsewhere=elsewhere)
    here = {}

    def niceness_of(step):
        own = getattr(numbered, step)

        def noted(*arguments):
            here[step] = os.getpriority(os.PRIO_PROCESS, 0)
            return own(*arguments)

        return noted

    for step in ("prepare", "forward", "finish"):
        monkeypatch.setattr(numbered, step, niceness_of(step))
    batcher.predict(picture(1))
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    batcher.close()
    assert here == {"prepare": usual, "forward": usual if elsewhere else max(usual, 10), "finish": usual}


def test_a_batch_too_large_for_the_memory_goes_through_in_parts_and_batches_stay_small(numbered, batcher, threads):
    whole = numbered.forward

    def small_memory(squares):
        if len(squares) > 2:
            raise MemoryError
        return whole(squares)

    numbered.forward = small_memory
    first, waiting = held(numbered, batcher, threads, range(1, 9))
    numbered.go.set()
    assert [future.result(10) for future in [first, *waiting]] == list(range(9))
    assert numbered.batches == [[0], [1, 2], [3, 4], [5, 6], [7, 8]]
    assert batcher.counts.out_of_memory == 1
    assert batcher.counts.failed == 0


def test_no_memory_for_a_single_picture_is_an_overload_and_no_fault_of_the_picture(numbered, batcher):
    def no_memory(_):
        raise MemoryError

    numbered.forward = no_memory
    with pytest.raises(Overloaded, match="memory"):
        batcher.predict(picture(1))
    del numbered.forward
    numbered.prepare = no_memory
    with pytest.raises(Overloaded, match="memory"):
        batcher.predict(picture(1))
    del numbered.prepare
    assert batcher.predict(picture(2)) == 2


@pytest.mark.parametrize(("ahead", "waits"), [(True, True), (False, False)], ids=["on a GPU", "on a CPU"])
def test_a_model_on_a_cpu_does_not_wait_for_as_many_pictures_as_last_time(numbered, ahead, waits):
    numbered.images_max, numbered.lanes, numbered.ahead, numbered.elsewhere = 4, 1, ahead, False
    batcher = Batcher.of(numbered)
    assert (batcher._wait_s_max > 0) is waits
    assert batcher.predict(picture(1)) == 1
    batcher.close()


def test_two_free_lanes_share_what_waits(numbered, threads):
    batcher = Batcher(numbered, images_max=4, lanes=2, wait_ms_max=1.0, queue_max=8)
    numbered.go.clear()
    answers = [threads.submit(batcher.predict, picture(1))]
    until(lambda: len(numbered.batches) == 1)
    answers.append(threads.submit(batcher.predict, picture(2)))
    until(lambda: len(numbered.batches) == 2)
    answers += [threads.submit(batcher.predict, picture(number)) for number in (3, 4, 5, 6)]
    until(lambda: len(batcher._waiting) == 4)
    numbered.go.set()
    assert [answer.result(10) for answer in answers] == [1, 2, 3, 4, 5, 6]
    assert max(len(batch) for batch in numbered.batches) <= 4
    batcher.close()


def test_one_picture_whose_finish_fails_leaves_the_others_of_its_batch_alone(numbered, batcher, threads):
    def finish(found, square, machine_us):
        if found == 2:
            raise RuntimeError("no finish")
        return found

    numbered.finish = finish
    first, waiting = held(numbered, batcher, threads, [1, 2, 3])
    numbered.go.set()
    assert [first.result(10), waiting[0].result(10), waiting[2].result(10)] == [0, 1, 3]
    with pytest.raises(RuntimeError, match="no finish"):
        waiting[1].result(10)


def test_counts_tell_waits_fill_and_pace(numbered, batcher, threads):
    first, waiting = held(numbered, batcher, threads, [1, 2, 3, 4])
    numbered.go.set()
    for future in [first, *waiting]:
        future.result(10)
    assert (batcher.counts.images, batcher.counts.batches) == (5, 2)
    assert batcher.counts.batch_fill == 5 / 8
    assert batcher.counts.images_per_second > 0
    assert batcher.counts.queue_s.count == 5
    assert batcher.counts.batch_images.buckets[:3] == [1, 1, 2]


def test_eight_threads_with_25_pictures_each_get_their_own_pictures_boxes(predictor, photographs):
    """Real network; 25 pictures are crops of the photographs, so that each has boxes of its own."""
    crops = [photo[: 300 + 20 * n] for n in range(4) for photo in photographs][:25]
    alone = predictor.predict(crops)
    batcher = Batcher(predictor, images_max=4, lanes=2, queue_max=16)

    def ask(thread):
        for step in range(25):
            number = (step + 3 * thread) % 25
            seen, own = batcher.predict(crops[number]), alone[number]
            assert seen.labels[:1] == own.labels[:1]
            np.testing.assert_allclose(seen.boxes[:1], own.boxes[:1], atol=0.01)  # 16-bit sums differ with the batch
            np.testing.assert_allclose(seen.confidences[:1], own.confidences[:1], atol=0.02)
        return 25

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(8))) == 200
    batcher.close()
    assert batcher.counts.images == 200
    assert batcher.counts.batches < 200
