"""Drift on recorded photographs: what has moved is told within 500 pictures, and what has not never."""

from itertools import islice

import pytest

from gateway.monitoring import drift
from gateway.monitoring.drift import LEVEL, PROPERTIES, REFERENCE, WINDOWS, is_alarming, shifts
from tests.gateway.monitoring.streams import stream

EVERY = 50
"""Pictures between two looks, as when ten come a second."""


def alarms_within(reference, pictures, count: int, every: int = EVERY) -> dict[str, int]:
    """By property, after how many of these pictures it was alarmed first."""
    found: dict[str, int] = {}
    latest = []
    for n, seen in enumerate(islice(pictures, count), 1):
        latest = [*latest, seen][-max(WINDOWS) :]
        if n % every == 0:
            for shift in shifts(reference, latest):
                if is_alarming(shift):
                    found.setdefault(shift.name, n)
    return found


def then(before, after, count: int):
    """So many pictures as they were, then others."""
    yield from islice(before, count)
    yield from after


@pytest.fixture(scope="module")
def reference():
    return list(islice(stream(1), REFERENCE))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"at_night": True}, {"brightness", "contrast", "red", "green", "blue"}),
        ({"renamed": lambda label: {"person": "human"}.get(label, label)}, {"labels"}),
        ({"renamed": str.upper}, {"labels"}),
        ({"confidence": 0.8}, {"confidence"}),
    ],
    ids=["day to night", "one label renamed", "all labels renamed", "confidences scaled"],
)
def test_what_has_moved_is_alarmed_within_five_hundred_pictures_and_nothing_else(reference, change, expected):
    found = alarms_within(reference, then(stream(2), stream(3, **change), 400), 900)
    assert expected <= found.keys()
    assert all(400 < n <= 900 for n in found.values())
    if "at_night" not in change:
        assert found.keys() == expected


def test_the_pictures_that_moved_most_are_named_first(reference):
    night = {seen.digest for seen in islice(stream(3, at_night=True), 2_000)}
    latest = [*islice(stream(2), 40), *islice(stream(3, at_night=True), 60)]
    (shift,) = [one for one in shifts(reference, latest) if one.name == "brightness"]
    assert set(shift.moved[:20]) <= night
    assert shift.before > shift.now


def test_three_thousand_unshifted_pictures_alarm_nobody(reference):
    assert alarms_within(reference, stream(4), 3_000) == {}


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_hundred_thousand_unshifted_pictures_alarm_nobody():
    for seed in range(10):
        reference = list(islice(stream(100 + seed), REFERENCE))
        assert alarms_within(reference, stream(200 + seed), 10_000, every=25) == {}, seed


def test_the_p_values_are_what_they_say_while_nothing_changes():
    """At a level that can be counted: of 400 looks of one picture stream each, at most the share that the level allows, and a margin."""
    level, rejected, looks = 0.05, dict.fromkeys(PROPERTIES, 0), 100
    for seed in range(looks):
        pictures = list(islice(stream(1_000 + seed), 200))
        for shift in drift._of_window(pictures[:100], pictures[100:]):
            rejected[shift.name] += shift.p_value < level
    allowed = looks * level + 4 * (looks * level * (1 - level)) ** 0.5
    assert all(count <= allowed for count in rejected.values()), rejected


def test_the_level_is_what_the_docstring_derives():
    assert pytest.approx(drift.FALSE_ALARMS_A_MONTH) == LEVEL * drift.TESTS_A_MONTH
    assert drift.TESTS_A_MONTH == 15 * 518_400 * 11 * 2


def test_windows_that_are_not_full_say_nothing(reference):
    assert shifts(reference, list(islice(stream(3, at_night=True), WINDOWS[0] - 1))) == []
