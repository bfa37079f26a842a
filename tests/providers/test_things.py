import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.contract import BoundingBox
from providers.things import Sighting, intersection_over_union, things


def box(x: float = 0.1, y: float = 0.1, width: float = 0.4, height: float = 0.4) -> BoundingBox:
    return BoundingBox.clamped(x, y, x + width, y + height)


def sighting(name: str, where: BoundingBox, canonical: str | None = None, confidence: float = 0.9, wider: tuple[str, ...] = ()) -> Sighting:
    return Sighting(name, canonical, confidence, where, frozenset(wider))


def named(*sightings: Sighting) -> list[tuple[str, str]]:
    return [(thing.label, thing.provider_label) for thing in things(sightings, "somebody")]


def test_kinds_of_one_another_at_nearly_one_place_are_one_thing():
    person = sighting("Person", box(), "person")
    woman = sighting("Woman", box(0.12, 0.12), "person", 0.8, ("Person",))
    assert named(person, woman) == [("person", "Person, Woman")]


def test_unrelated_names_are_one_thing_only_in_the_same_box():
    wheel, tire = sighting("Bicycle wheel", box()), sighting("Tire", box(0.101), None, 0.5)
    assert named(wheel, tire) == [("bicycle wheel", "Bicycle wheel, Tire")]
    assert len(named(wheel, sighting("Tire", box(0.15), None, 0.5))) == 2


def test_one_name_twice_is_two_things_even_in_one_box():
    assert named(sighting("Dog", box(), "dog"), sighting("Dog", box(), "dog", 0.8)) == [("dog", "Dog"), ("dog", "Dog")]


def test_two_embracing_people_stay_two_and_each_keeps_its_own_names():
    left, right = box(0.10), box(0.13)
    found = named(
        sighting("Person", left, "person", 0.99),
        sighting("Person", right, "person", 0.98),
        sighting("Woman", right, "person", 0.97, ("Person",)),
        sighting("Man", left, "person", 0.96, ("Person",)),
    )
    assert found == [("person", "Person, Man"), ("person", "Person, Woman")]


def test_the_most_specific_canonical_label_is_the_things():
    oven = sighting("Oven", box(), "oven", 0.95)
    microwave = sighting("Microwave", box(), "microwave", 0.9, ("Oven", "Appliance"))
    assert named(oven, microwave) == [("microwave", "Oven, Microwave")]


def test_a_canonical_label_goes_before_a_surer_name_without_one():
    assert named(sighting("Vehicle", box(), None, 0.99), sighting("Car", box(), "car", 0.9, ("Vehicle",))) == [("car", "Vehicle, Car")]


def test_aliases_relate_too():
    assert (
        len(
            named(
                sighting("Mobile Phone", box(), "cell phone", wider=("Cell Phone",)), sighting("Cell Phone", box(0.12, 0.12), "cell phone")
            )
        )
        == 1
    )


def test_a_wheel_is_not_the_bicycle_that_it_belongs_to():
    bicycle = sighting("Bicycle", BoundingBox(0.31, 0.66, 0.63, 0.97), "bicycle")
    wheel = sighting("Bicycle wheel", BoundingBox(0.31, 0.78, 0.44, 0.97), None, 0.8, ("Bicycle",))
    assert len(named(bicycle, wheel)) == 2


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (box(), box(), 1.0),
        (BoundingBox(0.5, 0.5, 0.5, 0.5), BoundingBox(0.5, 0.5, 0.5, 0.5), 1.0),
        (box(0.0, 0, 0.4), box(0.2, 0, 0.4), 1 / 3),
        (box(0.0, 0.0, 0.2, 0.2), box(0.5, 0.5, 0.2, 0.2), 0.0),
    ],
)
def test_overlap(one, other, expected):
    assert intersection_over_union(one, other) == pytest.approx(expected)
    assert intersection_over_union(other, one) == pytest.approx(expected)


_FRACTION = st.integers(0, 20).map(lambda twentieth: twentieth / 20)
_BOXES = st.builds(BoundingBox.clamped, _FRACTION, _FRACTION, _FRACTION, _FRACTION)
_SIGHTINGS = st.lists(
    st.builds(
        Sighting,
        name=st.sampled_from(["Person", "Man", "Woman", "Dog", "Tire"]),
        canonical=st.sampled_from(["person", "dog", None]),
        confidence=_FRACTION,
        box=_BOXES,
        wider=st.sampled_from([frozenset(), frozenset({"Person"}), frozenset({"Man", "Person"})]),
    ),
    max_size=12,
)


@given(_SIGHTINGS)
def test_no_sighting_is_lost_or_invented(sightings):
    found = things(sightings, "somebody")
    names = sorted(name for thing in found for name in thing.provider_label.split(", "))
    assert names == sorted(sighting.name for sighting in sightings)


@given(_SIGHTINGS)
def test_there_are_at_least_as_many_things_as_sightings_of_any_one_name(sightings):
    found = things(sightings, "somebody")
    for name in {sighting.name for sighting in sightings}:
        assert len(found) >= sum(sighting.name == name for sighting in sightings)
    assert [thing.confidence for thing in found] == sorted((thing.confidence for thing in found), reverse=True)
