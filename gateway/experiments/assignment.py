"""Which arm a unit belongs to: always the same one, unforeseeable from outside, and independent between experiments."""

import hashlib
from collections.abc import Sequence

from gateway.experiments.terms import Arm

_RANGE = 1 << 64


def is_sampled(key: bytes, unit: str, sample_rate: float) -> bool:
    """Whether a unit takes part. One that does still does when the rate is raised."""
    return fraction(key, "sample", unit) < sample_rate


def arm_of(key: bytes, unit: str, arms: Sequence[Arm]) -> Arm:
    """The arm of a unit, each with a chance of its weight's share.

    Args:
        key: the experiment's own random bytes: without them nobody can choose an arm by choosing a name.
        unit: a client, a subject or a picture's digest.
        arms: with at least one weight above 0.
    """
    left = fraction(key, "arm", unit) * sum(arm.weight for arm in arms)
    for arm in arms:
        left -= arm.weight
        if left < 0:
            return arm
    return next(arm for arm in reversed(arms) if arm.weight > 0)


def unit_hash(key: bytes, unit: str) -> str:
    """A unit's name in what is kept: tells units apart and nothing else."""
    return _digest(key, "unit", unit).hex()


def fraction(key: bytes, purpose: str, unit: str) -> float:
    """A number in [0, 1), uniform over units. Different purposes are independent: who is sampled says nothing about the arm."""
    return int.from_bytes(_digest(key, purpose, unit)) / _RANGE


def _digest(key: bytes, purpose: str, unit: str) -> bytes:
    """BLAKE2b with a key (RFC 7693): a hash that nobody can compute without the key."""
    return hashlib.blake2b(unit.encode(), digest_size=8, key=key, person=purpose.encode()).digest()
