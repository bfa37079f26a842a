import socket
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from local_model.batching import Overloaded
from local_model.lane import answered, serve
from local_model.messages import Facts, Failed, receive, send
from local_model.preprocess import BadPicture


class Numbers:
    """A predictor of whole numbers: 13 is no picture, 14 finds no memory, 15 breaks the network, 16 can't be finished."""

    name, version, model, images_max = "numbers", "1", "numbers 1", 4

    def prepare(self, picture):
        if picture == 13:
            raise BadPicture("13")
        if picture == 14:
            raise MemoryError
        return picture

    def forward(self, prepared):
        if len(prepared) > 3:
            raise MemoryError("too many")
        if 15 in prepared:
            raise ArithmeticError("15")
        return prepared

    def parted(self, raw):
        return raw

    def finish(self, found, prepared):
        assert found == prepared
        if found == 16:
            raise IndexError("16")
        return found * 10

    def ran_out_of_memory(self, error):
        return isinstance(error, MemoryError)


def test_each_picture_has_its_own_answer_and_a_bad_one_fails_alone():
    first, bad, no_memory, unfinished, last = answered(Numbers(), [1, 13, 14, 16, 2])
    assert (first, last) == (10, 20)
    assert isinstance(bad, BadPicture)
    assert isinstance(no_memory, Overloaded)
    assert "IndexError: 16" in str(unfinished)


def test_a_network_that_fails_is_told_once_and_whether_fewer_pictures_might_go_through():
    assert answered(Numbers(), [1, 15]) == Failed("ArithmeticError: 15", no_memory=False)
    assert answered(Numbers(), [1, 2, 3, 4]) == Failed("MemoryError: too many", no_memory=True)


def test_nothing_but_bad_pictures_never_meets_the_network():
    [bad] = answered(Numbers(), [13])
    assert isinstance(bad, BadPicture)


def test_it_says_what_it_is_answers_batch_after_batch_and_ends_with_its_starter():
    here, there = socket.socketpair()
    with there, ThreadPoolExecutor(1) as thread:
        ended = thread.submit(serve, there, Numbers())
        assert receive(here) == Facts("numbers", "1", "numbers 1", 4)
        for batch in ([1], [2, 3]):
            send(here, batch)
            assert receive(here) == [10 * number for number in batch]
        here.close()
        ended.result(10)


def test_what_a_lane_raises_arrives_in_the_other_process():
    here, there = socket.socketpair()
    with here, there:
        send(here, answered(Numbers(), [13, 14, 16]))
        assert [type(each) for each in receive(there)] == [BadPicture, Overloaded, RuntimeError]
        send(here, np.zeros(3))
        assert receive(there).shape == (3,)
