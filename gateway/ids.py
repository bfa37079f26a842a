"""Ids that sort by time: ULIDs (https://github.com/ulid/spec): 48 bits of milliseconds, 80 random bits, 26 characters."""

import secrets
import time

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_id() -> str:
    """A new ULID, such as `01KAMZ5T9QF1V4M3S8WJ6X2R7C`."""
    number = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))
