"""How many threads may compute: the cores of this process, shared with the processes beside it."""

import os
import sys
from pathlib import Path

_GIVES_WAY = 10
"""Niceness: a ninth of the weight that others have."""

_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # https://docs.kernel.org/admin-guide/cgroup-v2.html

_GPUS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # Nvidia's, AMD's, either within Windows


def cores() -> int:
    """Cores that this process may use: those it may run on, and no more than its container's share of time, rounded up."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1  # Linux, or elsewhere
    return max(min(allowed, _quota() or allowed), 1)


def lanes_for(processes: int) -> int:
    """Lanes of the network in each of so many processes, so that together they are as many as the cores."""
    return max(cores() // max(processes, 1), 1)


def gpu_here() -> bool:
    """Whether the system shows a GPU that torch could compute on; told without torch."""
    return any(Path(device).exists() for device in _GPUS)


def give_way() -> None:
    """Let others go first where they want the calling thread's core. Elsewhere than on Linux, where each has its niceness, nothing happens.

    Threads that it starts from then on do the same.
    """
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, 0, max(os.getpriority(os.PRIO_PROCESS, 0), _GIVES_WAY))


def _quota() -> int | None:
    try:
        allowed, period = _QUOTA.read_text().split()
        return -(-int(allowed) // int(period))
    except (OSError, ValueError):  # no such file, or "max": no limit
        return None
