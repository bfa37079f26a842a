from hypothesis import given
from hypothesis import strategies as st

from gateway.experiments.texts import edit_distance, likeness

short = st.text("abc", max_size=6)


def plainly(one, other):
    if not one or not other:
        return len(one) + len(other)
    return min(plainly(one[1:], other) + 1, plainly(one, other[1:]) + 1, plainly(one[1:], other[1:]) + (one[0] != other[0]))


@given(one=short, other=short)
def test_the_distance_is_that_of_the_definition(one, other):
    assert edit_distance(one, other) == plainly(one, other)


def test_a_known_distance():
    assert edit_distance("kitten", "sitting") == 3


def test_case_and_spacing_do_not_count():
    assert likeness("STOP  here\n", "stop here") == 1.0
    assert likeness("", "") == 1.0
    assert likeness("stop", "") == 0.0
