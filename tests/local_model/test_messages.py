import pickle
import socket
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from local_model.messages import Gone, receive, send


@pytest.fixture
def ends():
    here, there = socket.socketpair()
    with here, there:
        yield here, there


def test_pictures_arrive_as_they_were_though_the_socket_holds_a_part_only(ends):
    here, there = ends
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    pixels = np.arange(3 * 500 * 700, dtype=np.uint32).astype(np.uint8).reshape(500, 700, 3)
    encoded = bytes(range(256)) * 4000
    with ThreadPoolExecutor(1) as sender:
        sent = sender.submit(send, here, [pixels, pickle.PickleBuffer(encoded), b"", "word"])
        came = receive(there)
        sent.result(10)
    assert np.array_equal(came[0], pixels)
    assert (bytes(came[1]), came[2:]) == (encoded, [b"", "word"])
    came[0][0, 0, 0] = 7  # torch takes nothing that may not be written to


def test_messages_stay_apart(ends):
    here, there = ends
    send(here, [1])
    send(here, [2])
    assert (receive(there), receive(there)) == ([1], [2])


def test_an_end_that_is_gone_is_told_to_who_waits_and_to_who_sends(ends):
    here, there = ends
    here.sendall(b"\x05\x00\x00\x00")  # and dies within its message
    here.close()
    with pytest.raises(Gone):
        receive(there)
    with pytest.raises(Gone):
        send(there, [bytes(10)])
