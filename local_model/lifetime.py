"""Processes that end with the one that started them, also when that one is killed and can tell nobody."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html


def die_with_parent(last_signal: signal.Signals = signal.SIGTERM) -> None:
    """Let the kernel send this process a signal when its parent ends. Linux only; elsewhere nothing happens.

    "Parent" is the THREAD that started the process: start it from one that lives as long as the parent should. Children do not inherit it.
    """
    if sys.platform != "linux":
        return
    parent = os.getppid()
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, last_signal, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_PDEATHSIG")
    if os.getppid() != parent:  # it ended just before
        os.kill(os.getpid(), last_signal)
