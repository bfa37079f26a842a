"""Ids that sort by time: ULIDs (https://github.com/ulid/spec): 48 bits of milliseconds, 80 random bits, 26 characters."""

import functools
import time
from random import getrandbits

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [first + second for first in _CROCKFORD for second in _CROCKFORD]


def new_id() -> str:
    """A new ULID, such as `01KAMZ5T9QF1V4M3S8WJ6X2R7C`."""
    high, low, pairs = getrandbits(40), getrandbits(40), _PAIRS  # no secrets; Python seeds them anew in each process, also after a fork
    return (
        f"{_moment(time.time_ns() // 1_000_000)}"
        f"{pairs[high >> 30]}{pairs[high >> 20 & 1023]}{pairs[high >> 10 & 1023]}{pairs[high & 1023]}"
        f"{pairs[low >> 30]}{pairs[low >> 20 & 1023]}{pairs[low >> 10 & 1023]}{pairs[low & 1023]}"
    )


@functools.lru_cache(maxsize=4)
def _moment(at_ms: int) -> str:
    return "".join([_PAIRS[at_ms >> shift & 1023] for shift in range(40, -1, -10)])


def made_at_s(id_: str) -> float | None:
    """When an id was made, in seconds since 1970; None for what is none."""
    if len(id_) != 26 or not set(id_) <= set(_CROCKFORD):
        return None
    number = 0
    for letter in id_[:10]:
        number = number << 5 | _CROCKFORD.index(letter)
    return number / 1000
