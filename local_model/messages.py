"""What a lane's process and its starter say to each other over a stream socket: Python objects, pickled.

Large buffers, as of a picture, go beside the pickle: only the kernel copies them.
"""

import pickle
import socket
import struct
from typing import Any, NamedTuple

_HEAD = struct.Struct("<II")
"""Bytes of the pickle, and how many buffers follow it."""

_SIZE = struct.Struct("<Q")


class Gone(Exception):
    """The other process has ended."""


class Facts(NamedTuple):
    """What a lane says of itself once it is ready."""

    name: str
    version: str
    model: str
    images_max: int


class Failed(NamedTuple):
    """What it says instead of facts, or of answers to a batch.

    Attributes:
        reason: a sentence.
        no_memory: whether fewer pictures might have gone through.
    """

    reason: str
    no_memory: bool = False


def send(peer: socket.socket, content: Any) -> None:
    """All of it, before this returns.

    Args:
        peer: the socket to it.
        content: what pickle takes; arrays and `pickle.PickleBuffer`s in it travel beside, and arrive writable.

    Raises:
        Gone: the other process has ended.
    """
    buffers: list[pickle.PickleBuffer] = []
    text = pickle.dumps(content, 5, buffer_callback=buffers.append)
    beside = [buffer.raw() for buffer in buffers]
    sizes = b"".join(_SIZE.pack(each.nbytes) for each in beside)
    parts: list[Any] = [b"".join((_HEAD.pack(len(text), len(beside)), sizes, text)), *beside]
    try:
        sent = peer.sendmsg(parts)  # one call, and Python's lock is free all the while; it may take a part only
        for part in parts:
            if sent < (length := len(part)):
                peer.sendall(memoryview(part)[sent:])
            sent = max(sent - length, 0)
    except OSError as error:
        raise Gone from error


def receive(peer: socket.socket) -> Any:
    """What the other process sent. Only from a process of our own: it is unpickled.

    Raises:
        Gone: it has ended.
    """
    try:
        length, count = _HEAD.unpack(_exactly(peer, _HEAD.size))
        sizes = _exactly(peer, _SIZE.size * count)
        text = _exactly(peer, length)
        beside = [_exactly(peer, size) for (size,) in _SIZE.iter_unpack(sizes)]
    except OSError as error:
        raise Gone from error
    return pickle.loads(text, buffers=beside)  # noqa: S301 -- our own


def _exactly(peer: socket.socket, size: int) -> bytearray:
    content = bytearray(size)
    left = memoryview(content)
    while left:
        got = peer.recv_into(left, len(left), socket.MSG_WAITALL)
        if not got:
            raise Gone
        left = left[got:]
    return content
