"""How many threads may compute: the cores of this process, shared with the processes beside it."""

import os
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # https://docs.kernel.org/admin-guide/cgroup-v2.html


def cores() -> int:
    """Cores that this process may use: those it may run on, and no more than its container's share of time, rounded up."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1  # Linux, or elsewhere
    return max(min(allowed, _quota() or allowed), 1)


def lanes_for(processes: int) -> int:
    """Lanes of the network in each of so many processes, so that together they are as many as the cores."""
    return max(cores() // max(processes, 1), 1)


def _quota() -> int | None:
    try:
        allowed, period = _QUOTA.read_text().split()
        return -(-int(allowed) // int(period))
    except (OSError, ValueError):  # no such file, or "max": no limit
        return None
